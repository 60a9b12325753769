// SPDX-License-Identifier: MIT
#include "ioctl_fuzz.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "figment_hw.h"
#include "guest.h"
#include "process.h"

namespace figment::guest {
namespace {

constexpr std::uint64_t kMemoryBytes = 4_MiB;
// Where binds mostly go, in steps, so that they meet; and where the commands mostly are.
constexpr std::uint64_t kStep = 64_KiB;
constexpr std::uint64_t kSteps = 96;

/// What the driver and the core may say of whatever arguments. ENODEV is not among them: no user
/// may wedge the device.
bool is_usual(int error) {
  static constexpr std::array kUsual = {0,      EINVAL,     EFAULT, ENOENT, ENOMEM, EINTR,
                                        EAGAIN, E2BIG,      EPERM,  ENOSPC, EACCES, EBADF,
                                        ETIME,  EOPNOTSUPP, ENOSYS, EEXIST};
  return std::ranges::find(kUsual, error) != kUsual.end();
}

}  // namespace

const char* name_of(Op op) {
  static constexpr std::array<const char*, kOps> kNames = {
      "dev_query",    "bo_create",     "bo_mmap",     "vm_create", "vm_destroy", "vm_bind",
      "queue_create", "queue_destroy", "queue_query", "submit",    "gem_close",  "syncobj",
      "prime",        "user_memory",   "commands",    "fork",      "user_fence", "reopen"};
  return kNames[static_cast<std::size_t>(op)];
}

std::uint64_t Tally::all() const {
  std::uint64_t sum = 0;
  for (std::size_t op = 0; op < kOps; ++op) sum += done[op] + refused[op];
  return sum;
}

Stage::Stage(Tally& tally)
    : tally_(tally),
      path_(Device::open().node().path),
      fd_(::open(path_.c_str(), O_RDWR | O_CLOEXEC)),
      memory_([] {
        void* at = ::mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) fail(errno, "mmap");
        return std::span(static_cast<std::byte*>(at), kMemoryBytes);
      }()) {
  if (fd_ < 0) fail(errno, "open the device");
}

class Player {
 public:
  Player(Stage& stage, std::uint64_t seed) : stage_(stage), random_(seed) {}

  void act() {
    const Op op = static_cast<Op>(one_in(3) ? below(kOps) : below(10));
    const int error = act(op);
    const auto index = static_cast<std::size_t>(op);
    ++(error == 0 ? stage_.tally_.done : stage_.tally_.refused)[index];
    if (is_usual(error)) return;
    stage_.tally_.odd_op = static_cast<int>(index);
    stage_.tally_.odd_error = error;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

  // Rarely right, often close to something that matters.
  std::uint64_t number() {
    static constexpr std::array<std::uint64_t, 14> kEdges = {
        0,        1,   7,          8,          4095,       4096,        1u << 21,
        1u << 31, ~0u, 1ull << 32, 1ull << 47, 1ull << 48, ~0ull << 12, ~0ull};
    return one_in(2) ? kEdges[below(kEdges.size())] : random_() >> below(64);
  }
  std::uint32_t flags(std::uint32_t known) {
    return one_in(12) ? static_cast<std::uint32_t>(number())
                      : static_cast<std::uint32_t>(below(known + 1));
  }
  std::uint32_t pad() { return one_in(40) ? 1 : 0; }
  /// A live object mostly; or one that is gone, or never was.
  std::uint32_t handle(Stage::Pool& pool) {
    if (one_in(12)) return static_cast<std::uint32_t>(one_in(2) ? below(20) : number());
    return pool[below(Stage::kSlots)];
  }
  /// What was in the slot before stays as it is: somebody else's, or nobody's.
  void keep(Stage::Pool& pool, std::uint32_t handle) { pool[below(Stage::kSlots)] = handle; }
  std::uint64_t size() { return one_in(12) ? number() : kPageBytes << below(11); }
  std::uint64_t gpu_address() {
    return one_in(12) ? number() : kData.value + below(kSteps) * kStep;
  }
  std::uint64_t cpu_address() {
    if (one_in(12)) return number();
    return user_pointer(stage_.memory_.data()) + below(kMemoryBytes / kPageBytes) * kPageBytes;
  }

  template <typename Request>
  int call(unsigned long number, Request& request) {
    return ::ioctl(stage_.fd_, number, &request) == 0 ? 0 : errno;
  }
  template <typename Request>
  int call(unsigned long number, Request&& request) {
    return ::ioctl(stage_.fd_, number, &request) == 0 ? 0 : errno;
  }

  drm_figment_array array(const void* elements, std::uint32_t stride, std::uint32_t count) {
    drm_figment_array array = {stride, count, user_pointer(static_cast<const char*>(elements))};
    if (one_in(30)) array.stride = static_cast<std::uint32_t>(number());
    if (one_in(30)) array.count = static_cast<std::uint32_t>(number());
    if (one_in(30)) array.array = number();
    return array;
  }
  drm_figment_sync sync() {
    drm_figment_sync sync = {.flags = flags(3), .handle = handle(stage_.syncobjs_)};
    if (sync.flags & DRM_FIGMENT_SYNC_TIMELINE)
      sync.timeline_value = one_in(8) ? number() : below(1000);
    return sync;
  }

  int act(Op op) {
    switch (op) {
      case Op::dev_query: {
        std::array<std::byte, 256> room;
        return call(
            DRM_IOCTL_FIGMENT_DEV_QUERY,
            drm_figment_dev_query{.type = flags(0),
                                  .size = static_cast<std::uint32_t>(below(sizeof(room))),
                                  .pointer = one_in(4) ? number() : user_pointer(room.data())});
      }
      case Op::bo_create:
        return bo_create();
      case Op::bo_mmap:
        return bo_mmap();
      case Op::vm_create: {
        drm_figment_vm_create create = {
            .flags = one_in(12), .strategy = one_in(4) ? flags(5) : 0, .pad = pad()};
        const int error = call(DRM_IOCTL_FIGMENT_VM_CREATE, create);
        if (error == 0) keep(stage_.vms_, create.id);
        return error;
      }
      case Op::vm_destroy:
        // There have to be some.
        if (!one_in(3)) return act(Op::vm_create);
        return call(DRM_IOCTL_FIGMENT_VM_DESTROY,
                    drm_figment_vm_destroy{.id = handle(stage_.vms_), .pad = pad()});
      case Op::vm_bind:
        return vm_bind();
      case Op::queue_create: {
        drm_figment_queue_create create = {.vm_id = handle(stage_.vms_),
                                           .priority = flags(3),
                                           .flags = pad(),
                                           .timeslice_ns = one_in(2) ? 0 : number()};
        if (one_in(3)) {
          create.flags |= DRM_FIGMENT_QUEUE_USER;
          create.ring_address = gpu_address();
          create.ring_size = one_in(12) ? number() : kPageBytes << below(5);
        }
        const int error = call(DRM_IOCTL_FIGMENT_QUEUE_CREATE, create);
        if (error != 0) return error;
        keep(stage_.queues_, create.id);
        if (create.mmap_offset != 0) user_queue(create.mmap_offset);
        return 0;
      }
      case Op::queue_destroy:
        if (!one_in(3)) return act(Op::queue_create);
        return call(DRM_IOCTL_FIGMENT_QUEUE_DESTROY,
                    drm_figment_queue_destroy{.id = handle(stage_.queues_), .pad = pad()});
      case Op::queue_query:
        return call(DRM_IOCTL_FIGMENT_QUEUE_QUERY,
                    drm_figment_queue_query{.id = handle(stage_.queues_), .pad = pad()});
      case Op::submit: {
        const std::array syncs = {sync(), sync()};
        return call(DRM_IOCTL_FIGMENT_SUBMIT,
                    drm_figment_submit{.queue_id = handle(stage_.queues_),
                                       .flags = pad(),
                                       .address = gpu_address(),
                                       .size = one_in(12) ? number() : below(64) * 8,
                                       .syncs = array(&syncs, sizeof(syncs[0]), below(3))});
      }
      case Op::gem_close:
        return call(DRM_IOCTL_GEM_CLOSE,
                    drm_gem_close{.handle = handle(stage_.buffers_), .pad = 0});
      case Op::syncobj:
        return syncobj();
      case Op::prime:
        return prime();
      case Op::user_memory:
        return user_memory();
      case Op::commands:
        return commands();
      case Op::fork_child:
        return fork_child();
      case Op::user_fence:
        return call(DRM_IOCTL_FIGMENT_WAIT_USER_FENCE,
                    drm_figment_wait_user_fence{
                        .address = cpu_address(),
                        .reference = number(),
                        .mask = number(),
                        .compare = static_cast<std::uint32_t>(below(7)),
                        .flags = flags(0),
                        .deadline_ns = one_in(4) ? static_cast<std::int64_t>(number() >> 40) : 0});
      case Op::reopen: {
        // All that was made through the old file goes, in the middle of what others do with it.
        if (!one_in(8)) return 0;
        const int fresh = ::open(stage_.path_.c_str(), O_RDWR | O_CLOEXEC);
        if (fresh < 0) return errno;
        ::dup3(fresh, stage_.fd_, O_CLOEXEC);
        ::close(fresh);
        return 0;
      }
      case Op::count:
        break;
    }
    return EINVAL;
  }

  // Rings, and says that it has, or not, while others destroy the queue.
  void user_queue(std::uint64_t offset) {
    std::array<volatile std::uint64_t*, 2> words = {};
    for (std::uint64_t page = 0; page < words.size(); ++page) {
      void* at = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, stage_.fd_,
                        static_cast<off_t>(offset + page * kPageBytes));
      if (at != MAP_FAILED) words[page] = static_cast<volatile std::uint64_t*>(at);
    }
    for (std::uint64_t n = below(6); n > 0; --n) {
      const std::uint64_t write = one_in(4) ? number() : 8 * below(64);
      if (words[1] && !one_in(4)) *words[1] = write;
      if (words[0] && !one_in(4)) *words[0] = write;
    }
    for (volatile std::uint64_t* word : words) {
      if (word) ::munmap(const_cast<std::uint64_t*>(word), kPageBytes);
    }
  }

  int bo_create() {
    drm_figment_bo_create create = {.size = size(), .flags = flags(1)};
    // Not all of memory: that is the kernel's business and not the driver's.
    if (create.size > 16_MiB && create.size < 1ull << 40) create.size = 16_MiB;
    const int error = call(DRM_IOCTL_FIGMENT_BO_CREATE, create);
    if (error != 0) return error;
    const std::uint32_t before = stage_.buffers_[below(Stage::kSlots)].exchange(create.handle);
    if (before != 0) call(DRM_IOCTL_GEM_CLOSE, drm_gem_close{.handle = before});
    return 0;
  }

  int bo_mmap() {
    drm_figment_bo_mmap_offset offset = {.handle = handle(stage_.buffers_), .pad = pad()};
    if (const int error = call(DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET, offset)) return error;
    const std::uint64_t bytes = kPageBytes << below(6);
    void* at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, one_in(9) ? MAP_PRIVATE : MAP_SHARED,
               stage_.fd_, static_cast<off_t>(one_in(20) ? number() & ~4095ull : offset.offset));
    // mmap() itself refuses offsets that no file has, with EOVERFLOW.
    if (at == MAP_FAILED) return errno == ENODEV || errno == EOVERFLOW ? EINVAL : errno;
    // Through a system call: a page that does not come is an errno then, and no signal.
    read_zeros(at, bytes);
    ::munmap(at, one_in(3) ? bytes : kPageBytes);
    if (bytes > kPageBytes) ::munmap(at, bytes);
    return 0;
  }

  static void read_zeros(void* into, std::uint64_t bytes) {
    const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    if (zero) std::ignore = ::read(zero.get(), into, bytes);
  }

  int vm_bind() {
    std::array<drm_figment_bind_op, 4> ops = {};
    for (auto& op : ops) {
      op = {.kind = flags(2), .address = gpu_address(), .size = size()};
      if (op.size > 1_MiB && !one_in(8)) op.size = kStep;
      if (op.kind != DRM_FIGMENT_BIND_UNMAP) op.flags = flags(1);
      if (op.kind == DRM_FIGMENT_BIND_MAP) op.handle = handle(stage_.buffers_);
      if (op.kind == DRM_FIGMENT_BIND_MAP) op.offset = one_in(3) ? below(16) * kPageBytes : 0;
      if (op.kind == DRM_FIGMENT_BIND_MAP_USERPTR) op.offset = cpu_address();
      op.pad = pad();
    }
    const std::array syncs = {sync(), sync()};
    const bool async = one_in(3);
    return call(
        DRM_IOCTL_FIGMENT_VM_BIND,
        drm_figment_vm_bind{.vm_id = handle(stage_.vms_),
                            .flags = one_in(30) ? flags(3) : async,
                            .ops = array(&ops, sizeof(ops[0]), one_in(2) ? 1 : below(5)),
                            .syncs = array(&syncs, sizeof(syncs[0]), async ? below(3) : 0)});
  }

  int syncobj() {
    const std::uint32_t which = handle(stage_.syncobjs_);
    switch (below(5)) {
      case 0:
      case 1: {
        drm_syncobj_create create = {.flags = below(2) ? DRM_SYNCOBJ_CREATE_SIGNALED : 0u};
        const int error = call(DRM_IOCTL_SYNCOBJ_CREATE, create);
        if (error == 0) keep(stage_.syncobjs_, create.handle);
        return error;
      }
      case 2:
        return call(DRM_IOCTL_SYNCOBJ_DESTROY, drm_syncobj_destroy{.handle = which});
      case 3:
        return call(DRM_IOCTL_SYNCOBJ_SIGNAL,
                    drm_syncobj_array{.handles = user_pointer(&which), .count_handles = 1});
      default:
        return call(DRM_IOCTL_SYNCOBJ_WAIT,
                    drm_syncobj_wait{
                        .handles = user_pointer(&which), .timeout_nsec = 0, .count_handles = 1});
    }
  }

  int prime() {
    drm_prime_handle out = {
        .handle = handle(stage_.buffers_), .flags = DRM_CLOEXEC | DRM_RDWR, .fd = -1};
    if (const int error = call(DRM_IOCTL_PRIME_HANDLE_TO_FD, out)) return error;
    drm_prime_handle in = {.fd = out.fd};
    const int error = call(DRM_IOCTL_PRIME_FD_TO_HANDLE, in);
    if (error == 0) keep(stage_.buffers_, in.handle);
    ::close(out.fd);
    return error;
  }

  int user_memory() {
    auto* at = stage_.memory_.data() + below(kMemoryBytes / kStep) * kStep;
    const std::uint64_t bytes = std::min<std::uint64_t>(
        kPageBytes << below(6),
        static_cast<std::uint64_t>(stage_.memory_.data() + kMemoryBytes - at));
    switch (below(6)) {
      case 0:
        ::munmap(at, bytes);
        return 0;
      case 1:
        // A file's memory is none for a userptr.
        ::mmap(at, bytes, PROT_READ | PROT_WRITE,
               (one_in(4) ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        return 0;
      case 2:
        ::mprotect(at, bytes, one_in(2) ? PROT_READ : PROT_READ | PROT_WRITE);
        return 0;
      case 3:
        ::madvise(at, bytes, MADV_DONTNEED);
        return 0;
      case 4:
        ::madvise(at, bytes, one_in(2) ? MADV_COLD : MADV_NOHUGEPAGE);
        return 0;
      default:
        read_zeros(at, bytes);
        return 0;
    }
  }

  // Packets into a buffer of the pool, which may be mapped anywhere: good ones mostly.
  int commands() {
    drm_figment_bo_mmap_offset offset = {.handle = handle(stage_.buffers_)};
    if (const int error = call(DRM_IOCTL_FIGMENT_BO_MMAP_OFFSET, offset)) return error;
    void* at = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, stage_.fd_,
                      static_cast<off_t>(offset.offset));
    if (at == MAP_FAILED) return errno == ENODEV ? EINVAL : errno;
    static constexpr std::array<std::uint8_t, 10> kQwords = {1, 3, 4, 4, 5, 4, 3, 2, 2, 4};
    std::array<std::uint64_t, 64> words = {};
    for (std::size_t word = 0; word + 5 <= words.size();) {
      const std::uint64_t opcode = below(kQwords.size());
      words[word] = one_in(20) ? random_() : FIGMENT_PACKET(opcode, kQwords[opcode], 0);
      for (std::size_t i = 1; i < kQwords[opcode]; ++i) words[word + i] = gpu_address();
      if (opcode == FIGMENT_OP_FILL || opcode == FIGMENT_OP_INDIRECT)
        words[word + 2] = below(512) * 8;
      if (opcode == FIGMENT_OP_COPY) words[word + 3] = below(65536);
      if (opcode == FIGMENT_OP_ATOMIC) words[word + 3] = words[word + 4] = 0;
      // Not often one that runs into the timeout.
      if (opcode == FIGMENT_OP_WAIT) words[word + 3] = one_in(30) ? ~0ull : 0;
      if (opcode == FIGMENT_OP_WAIT) words[word + 2] = 0;
      if (opcode == FIGMENT_OP_SPIN) words[word + 1] = one_in(30) ? ~0ull : below(1'000'000);
      if (opcode == FIGMENT_OP_CHASE) words[word + 2] = below(100);
      if (opcode == FIGMENT_OP_RELEASE) words[word + 1] = 0;
      word += kQwords[opcode];
    }
    int ends[2];
    int error = 0;
    if (::pipe2(ends, O_CLOEXEC) == 0) {
      // By the kernel, as above.
      std::ignore = ::write(ends[1], words.data(), sizeof(words));
      if (::read(ends[0], at, sizeof(words)) < 0) error = errno;
      ::close(ends[0]);
      ::close(ends[1]);
    }
    ::munmap(at, kPageBytes);
    return error;
  }

  // A child that uses the parent's file and memory, and ends somehow. Only system calls in it.
  int fork_child() {
    if (!one_in(4)) return 0;
    const std::uint64_t seed = random_();
    const pid_t child = ::fork();
    if (child < 0) return errno;
    if (child == 0) {
      Player heir(stage_, seed);
      for (unsigned i = 0; i < 8; ++i) {
        heir.vm_bind();
        heir.user_memory();
      }
      if (seed & 1) ::close(stage_.fd_);
      ::_exit(0);
    }
    if (one_in(2)) ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return 0;
  }

  Stage& stage_;
  std::mt19937_64 random_;
};

void Stage::play(std::uint64_t seed, unsigned operations) {
  Player player(*this, seed);
  for (unsigned i = 0; i < operations; ++i) player.act();
}

}  // namespace figment::guest

// SPDX-License-Identifier: MIT
#include "guest.h"

#include <unistd.h>

#include <cstring>
#include <exception>
#include <system_error>

#include "process.h"

namespace figment {

void PrintTo(const GpuVa& at, std::ostream* out) {
  *out << std::format("{:#x}", at.value);
}
void PrintTo(Placement placement, std::ostream* out) {
  *out << (placement == Placement::vram ? "VRAM" : "system memory");
}
void PrintTo(Strategy strategy, std::ostream* out) {
  *out << info(strategy).name;
}

namespace guest {
namespace {

constexpr GpuVa kCommands{0x20'0000'0000};
constexpr GpuVa kWords{0x21'0000'0000};
constexpr GpuVa kGate = kWords + 8;
constexpr GpuVa kEnd = kWords + 16;

}  // namespace

Gpu::Gpu(const VmConfig& config, unsigned nth)
    : device(Device::open(nth)),
      vm(device.vm(config)),
      queue(vm.queue()),
      long_running_(info(config.strategy).long_running),
      commands_(device.buffer({.bytes = kCommandBytes})),
      commands_view_(commands_.map()),
      words_(device.buffer({.bytes = kPageBytes})),
      words_view_(words_.map()) {
  vm.bind(
      {.ops = {Map{.at = kCommands, .buffer = commands_}, Map{.at = kWords, .buffer = words_}}});
}

Fence Gpu::start(const CommandList& list, std::vector<SyncPoint> wait) {
  return start_on(queue, list, std::move(wait));
}

Job Gpu::place(const CommandList& list) {
  // Lists follow each other through the buffer, so that those in flight stay as they are.
  if (next_command_ + list.bytes() > kCommandBytes) next_command_ = 0;
  const std::uint64_t at = next_command_;
  next_command_ += list.bytes();
  list.write_to(commands_view_.bytes().subspan(at));
  return {.at = kCommands + at, .bytes = list.bytes()};
}

Fence Gpu::start_on(Queue& on, const CommandList& list, std::vector<SyncPoint> wait) {
  Job job = place(list);
  job.wait = std::move(wait);
  return on.run(std::move(job));
}

void Gpu::begin_on(Queue& on, CommandList list) {
  errors_before_ = on.errors();
  list.release({.at = kEnd, .value = ends_ + 1, .event = true});
  on.submit(place(list));
  ++ends_;
}

int Gpu::finish_on(Queue& on, Deadline deadline) {
  const UserFence end{.word = &words_view_.as<std::uint64_t>()[2], .reference = ends_};
  switch (wait(device.fd(), end, errors_before_, deadline)) {
    case WaitEnd::holds: return 0;
    case WaitEnd::deadline: return ETIME;
    case WaitEnd::job_failed: return on.query().last_error;
  }
  std::unreachable();
}

int Gpu::run_on(Queue& on, const CommandList& list) {
  try {
    if (!long_running_) return outcome(start_on(on, list));
    begin_on(on, list);
    return finish_on(on);
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

int Gpu::store(GpuVa at, std::uint64_t value) {
  CommandList list;
  return run(list.fill({.at = at, .bytes = 8, .value = value}));
}

int Gpu::try_load(GpuVa at) {
  CommandList list;
  return run(list.copy({.to = kWords, .from = at, .bytes = 8}));
}

std::uint64_t Gpu::load(GpuVa at) {
  if (const int error = try_load(at)) fail(error, std::format("GPU load from {:#x}", at.value));
  return words_view_.as<std::uint64_t>()[0];
}

Fence Gpu::close_gate(Queue& on) {
  return start_on(on, gate());
}

CommandList Gpu::gate(CommandList list) {
  words_view_.as<std::uint64_t>()[1] = 0;
  list.wait({.at = kGate, .compare = Compare::ne, .reference = 0});
  return list;
}

void Gpu::open_gate() {
  __atomic_store_n(&words_view_.as<std::uint64_t>()[1], 1, __ATOMIC_RELEASE);
}

int outcome(const Fence& fence) {
  if (!fence.wait(after(kPatience))) {
    throw std::runtime_error(std::format("a job did not end within {}", kPatience));
  }
  return fence.result().value_or(EBUSY);
}

int in_child(const std::function<int()>& life) {
  const pid_t child = ::fork();
  if (child < 0) fail(errno, "fork");
  if (child == 0) {
    stress::die_with_parent();
    int status = 255;
    try {
      status = life();
    } catch (const std::exception& error) {
      // Through the descriptor: the buffers of stdio are the parent's.
      const std::string text = std::format("in a child: {}\n", error.what());
      std::ignore = ::write(STDERR_FILENO, text.data(), text.size());
    }
    ::_exit(status);
  }
  return stress::exit_status(child, after(kPatience)).value_or(-1);
}

std::string name(int error) {
  if (error == 0) return "no error";
  const char* text = ::strerrorname_np(error);
  return text ? text : std::format("errno {}", error);
}

}  // namespace guest
}  // namespace figment

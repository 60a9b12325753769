// SPDX-License-Identifier: MIT
#include "world.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <format>

#include "actions.h"

namespace figment::fuzz {

using test::FakeHost;
using test::KnownJobs;
using test::kPage;

namespace {

bool telling = false;

// Pages of the hidden RAM: the event ring, descriptors, the known jobs.
constexpr uint64_t kHiddenEvents = 0;
constexpr uint64_t kHiddenDescriptors = 1;
constexpr uint64_t kHiddenJobs = 2;
constexpr uint64_t kHiddenPages = kHiddenJobs + KnownJobs::kBytes / kPage;

// How long the known job beside others may take: device time, and small steps of all engines.
// A draw of a latency is at most 200 us, the job has under 20 accesses, and every engine gets its
// turn.
constexpr uint64_t kWitnessNs = 100'000'000;
constexpr uint64_t kWitnessSteps = 20'000;

constexpr uint64_t kWorkWords = kWorkPages * kPage / 8;

// Some address far above all RAM that changes with every byte of the input.
uint64_t hidden_base(std::span<const uint8_t> input) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint8_t byte : input) hash = (hash ^ byte) * 0x100000001b3;
  return (1ull << 45) + (hash >> 30) * kPage;
}

figment_latency latency(unsigned kind) {
  constexpr std::array<figment_latency, 4> kKinds = {{{0, 0}, {100, 100}, {0, 5000}, {0, 200'000}}};
  return kKinds[kind % kKinds.size()];
}

}  // namespace

void set_telling(bool on) {
  telling = on;
}

Setting Setting::from(Reader& bytes, std::span<const uint8_t> input) {
  Setting setting;
  const uint8_t shape = bytes.u8();
  const uint8_t latencies = bytes.u8();
  const uint8_t caches = bytes.u8();
  const uint8_t maps = bytes.u8();
  setting.tenant = (shape & 1) != 0;
  setting.pci_reset_at_end = (shape & 2) != 0;
  test::GpuOptions& options = setting.options;
  options.host.ram_bytes = kWorkPages * kPage;
  options.host.vram_bytes = kVramBytes;
  options.host.hidden_base = hidden_base(input);
  options.host.hidden_bytes = kHiddenPages * kPage;
  options.host.strict = true;
  options.host.seed = maps;
  constexpr std::array<uint64_t, 8> kMaps = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 8192,
                                             4096,       1000,       64,         7};
  options.host.map_bytes_max = kMaps[maps % kMaps.size()];
  options.event_lg2 = FIGMENT_EVENT_SIZE_LG2_MIN;
  options.event_base = setting.tenant ? options.host.hidden_base + kHiddenEvents * kPage
                                      : FakeHost::kRamBase + kEventPage * kPage;
  figment_model_config& config = options.config;
  config.queues = kQueues;
  config.asids = kAsids;
  // A tenant's queues have an engine each, and so has the known job beside them.
  config.engines = setting.tenant ? kQueues : 1 + (shape >> 2 & 3);
  config.bytes_per_us = shape & 0x10 ? 1000 : 0;
  config.poll_ns = shape & 0x20 ? 0 : 2000;
  config.timeslice_ns = shape & 0x40 ? 10'000 : 1'000'000;
  config.doorbell = latency(latencies);
  config.invalidate = latency(latencies >> 2);
  config.access = latency(latencies >> 4);
  config.event = latency(latencies >> 6);
  config.preempt = (maps >> 3 & 3) % 3;
  config.faults = (shape & 0x80) != 0;
  config.preemption = latency(maps >> 5);
  config.inject = (maps & 0x80) != 0;
  config.prefetch_pages = caches & 0x80 ? 3 : 0;
  config.tlb_entries = 16u << (caches & 3);
  config.walk_cache_entries = (caches >> 2 & 3) * 20;
  config.retention_ns = caches & 0x10 ? 3000 : FIGMENT_MODEL_NEVER;
  constexpr std::array<uint32_t, 4> kStepBytes = {64, 200, 5000, 65536};
  config.step_bytes = kStepBytes[caches >> 5 & 3];
  return setting;
}

uint64_t most_calls(const figment_model_config& config, uint64_t map_bytes_max) {
  constexpr uint64_t kAccesses = 16 + 1;  // and one that was in flight
  // Data in the smallest parts that the host gives; copies that do not fit go through a buffer.
  const uint64_t part = std::min<uint64_t>(map_bytes_max, kPage);
  const uint64_t data = 8 * (config.step_bytes / part + 1);
  // Every access begins and ends inside some page, on both of its sides.
  const uint64_t pages = 2 * (config.step_bytes / kPage + 2 * kAccesses);
  // Four levels: a kept page goes, one is mapped, or tried and read, and a trace. And the piece.
  const uint64_t page = 4 * 5 + 8;
  // The packet itself, its queue's descriptor, traces.
  const uint64_t packet = 64 * (1 + 64 / part);
  // Everything that may be due: reports and invalidations, before and after the step.
  const uint64_t reports = 6 * config.queues + FIGMENT_INVAL_DEPTH;
  const uint64_t due = 2 * (reports * 16 * (1 + 32 / part) + FIGMENT_INVAL_DEPTH * 4);
  // At each opportunity every rule may draw, and one is traced.
  const uint64_t rules = config.inject ? FIGMENT_INJECT_RULES_MAX + 1 : 0;
  // What was asked for, and as much as is guessed at each time.
  return (pages * page * (1 + config.prefetch_pages) + data + packet + due) * (1 + rules);
}

World::World(std::span<const uint8_t> input)
    : bytes_(input),
      setting_([&] {
        Setting setting = Setting::from(bytes_, input);
        setting.options.complain = [this](const std::string& rule) { broken(rule); };
        return setting;
      }()),
      most_calls_(most_calls(setting_.options.config, setting_.options.host.map_bytes_max)),
      gpu_(setting_.options) {
  gpu_.host.keep_traces = false;
  gpu_.host.meanwhile = [this] { other_processors(); };
  tell(std::format("{}: {} engines, {} ns access, maps of {}",
                   setting_.tenant ? "tenant" : "kernel", gpu_.config.engines,
                   gpu_.config.access.max_ns, setting_.options.host.map_bytes_max));
  set_up_tables();
  if (setting_.tenant) {
    witness_.emplace(gpu_, hidden(kHiddenJobs), kGuestQueues, kGuestQueues);
    witness_->start();
  }
}

// The address spaces of the guest: the work area, and what a page table can point to besides.
void World::set_up_tables() {
  const auto bus = [](uint64_t page) { return FakeHost::kRamBase + page * kPage; };
  for (uint64_t level = 0; level < 3; ++level) {
    gpu_.host.store<uint64_t>(bus(kTablePage + level),
                              bus(kTablePage + level + 1) | FIGMENT_PTE_VALID);
  }
  const uint64_t leaf = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF;
  for (uint64_t page = 0; page < kMappedPages; ++page) {
    uint64_t entry = bus(page) | leaf | FIGMENT_PTE_WRITE;
    if (page >= kVramPage) {
      entry = (page - kVramPage) * kPage | leaf | FIGMENT_PTE_WRITE | FIGMENT_PTE_VRAM;
    }
    if (page >= kDevicePage) {
      entry = (FakeHost::kDeviceBase + (page - kDevicePage) * kPage) | leaf | FIGMENT_PTE_WRITE;
    }
    if (page >= kHolePage) entry = page * kPage | leaf | FIGMENT_PTE_WRITE;
    if (page == kReadOnlyPage) entry = bus(kDataPage) | leaf;
    if (page == kPrivilegedPage) {
      entry = bus(kDataPage) | leaf | FIGMENT_PTE_WRITE | FIGMENT_PTE_PRIVILEGED;
    }
    gpu_.host.store<uint64_t>(bus(kTablePage + 3) + page * 8, entry);
  }
  // 2 MiB on, a huge page: the work area again, and then nothing that answers.
  gpu_.host.store<uint64_t>(bus(kTablePage + 2) + 8, FakeHost::kRamBase | leaf | FIGMENT_PTE_WRITE);
  for (uint32_t asid = 0; asid < (setting_.tenant ? kGuestQueues : kAsids); ++asid) {
    // Of those that may, every other one wants its misses reported.
    const uint64_t faults = setting_.options.config.faults && asid % 2 == 1 ? FIGMENT_ROOT_FAULTS : 0;
    gpu_.write64(FIGMENT_REG_ASID_ROOT(asid), bus(kTablePage) | FIGMENT_ROOT_VALID | faults);
  }
}

void World::play() {
  while (!bytes_.empty()) act();
  if (setting_.tenant) expect_known_job();
  expect_reset_restores();
}

void World::act() {
  const uint64_t action = bytes_.u8() % (setting_.tenant ? kGuestActions : kActions);
  switch (action) {
    case kStore: {
      const uint16_t word = bytes_.u16();
      put_word(word, value());
      break;
    }
    case kPacket:
      write_packet(FakeHost::kRamBase + bytes_.u16() % kWorkWords * 8);
      break;
    case kSubmit:
      submit();
      break;
    case kDoorbell: {
      const uint32_t queue = bytes_.u8();
      const uint64_t write = value();
      tell(std::format("doorbell {} = {:#x}", queue, write));
      if (queue % 32 == 31 && !setting_.tenant) {
        gpu_.doorbell(write, write, 1u << (queue >> 5 & 3));
      } else {
        const uint32_t guest = queue % (setting_.tenant ? kGuestQueues : kQueues);
        // Mostly near what is right.
        gpu_.doorbell(guest, queue & 0x80 ? write : ring_write_[guest] + write);
      }
      break;
    }
    case kStart:
      start_queue();
      break;
    case kCommand: {
      const uint32_t queue = bytes_.u8() % (setting_.tenant ? kGuestQueues : kQueues);
      const uint32_t command = bytes_.u8() % (setting_.tenant ? FIGMENT_QUEUE_FAULT_KILL + 1 : 9);
      tell(std::format("queue {} command {}", queue, command));
      if (command == FIGMENT_QUEUE_RESUME) announce_in_descriptor(queue);
      gpu_.command(queue, command);
      break;
    }
    case kRun:
      run(1 + bytes_.u8() % 64);
      break;
    case kAdvance: {
      const uint64_t ns = uint64_t{bytes_.u16()} << bytes_.u8() % 32;
      tell(std::format("advance by {} ns", ns));
      gpu_.advance(ns);
      run(1);
      break;
    }
    case kInvalidate:
      invalidate();
      break;
    case kMeanwhile: {
      const uint64_t in = bytes_.u8();
      const uint16_t word = bytes_.u16();
      meanwhile_.push_back({.at_call = gpu_.host.calls() + in, .word = word, .value = value()});
      tell(std::format("in {} calls word {:#x} becomes {:#x}", in, word, meanwhile_.back().value));
      break;
    }
    case kReadEvents:
      read_events(bytes_.u8());
      break;
    case kReadRegister: {
      const uint64_t offset = register_offset();
      tell(std::format("read register {:#x}", offset));
      for (const unsigned width : {1u, 2u, 4u, 8u}) (void)gpu_.read(offset, width);
      break;
    }
    case kTableEntry:
      table_entry();
      break;
    case kSaveAndLoad:
      save_and_load();
      break;
    case kWriteRegister:
      write_register();
      break;
    case kRoot: {
      const uint32_t asid = bytes_.u8() % kAsids;
      const uint64_t root = entry() & ~uint64_t{FIGMENT_PTE_LEAF};
      tell(std::format("root {} = {:#x}", asid, root));
      gpu_.write64(FIGMENT_REG_ASID_ROOT(asid), root);
      break;
    }
    case kReset:
      tell("reset");
      gpu_.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
      break;
    case kPciReset:
      tell("PCI reset");
      gpu_.pci_reset();
      break;
    case kBringUp:
      bring_up();
      break;
    default:
      break;
  }
  check();
}

// Rule 3, and what is due after each action.
void World::check() {
  // The read itself may be what a rule removes the device at; without rules it is back.
  if (gpu_.removed() || gpu_.read32(FIGMENT_REG_ID) != FIGMENT_ID) {
    if (!gpu_.removed()) broken("the model has broken");
    gpu_.inject_clear();
    if (gpu_.read32(FIGMENT_REG_ID) != FIGMENT_ID) broken("the model does not come back");
  }
  if (setting_.tenant && (gpu_.read32(FIGMENT_REG_ERROR) & FIGMENT_ERROR_EVENT_BUS) != 0) {
    broken("the event ring has failed on good memory");
  }
}

void World::put_word(uint16_t word, uint64_t value) {
  tell(std::format("word {:#x} = {:#x}", word, value));
  if (word & 0x8000) {
    std::memcpy(&gpu_.host.vram[word * 8 % kVramBytes], &value, sizeof(value));
  } else {
    gpu_.host.store<uint64_t>(FakeHost::kRamBase + word % kWorkWords * 8, value);
  }
}

void World::bring_up() {
  tell("bring up");
  gpu_.bring_up();
  set_up_tables();
}

void World::start_queue() {
  const uint32_t queue = bytes_.u8() % (setting_.tenant ? kGuestQueues : kQueues);
  const uint8_t shape = bytes_.u8();
  if (gpu_.queue_state(queue) != FIGMENT_QUEUE_OFF) gpu_.command(queue, FIGMENT_QUEUE_RESET);
  figment_descriptor d{};
  d.ring_address = (kRingPage + queue) * kPage;
  d.ring_bytes_lg2 = FIGMENT_RING_BYTES_LG2_MIN + (shape >> 7);
  d.asid = shape % (setting_.tenant ? kGuestQueues : kAsids);
  d.priority = shape >> 2 & 3;
  d.flags = shape >> 4 & FIGMENT_DESC_PRIVILEGED;
  d.timeslice_ns = shape & 0x20 ? 5000 : 0;
  // Close to the end of 2^64 sometimes, and sometimes with work at once.
  d.read = d.write = shape & 0x40 ? 0 - 64ull : 0;
  ring_write_[queue] = d.write;
  const uint64_t at = descriptor(queue);
  gpu_.host.store(at, d);
  tell(std::format("start queue {} on address space {}, priority {}", queue, d.asid, d.priority));
  gpu_.write64(FIGMENT_REG_QUEUE(queue) + FIGMENT_QUEUE_DESC, at);
  gpu_.command(queue, FIGMENT_QUEUE_START);
}

uint64_t World::descriptor(uint32_t queue) const {
  const uint64_t page = setting_.tenant ? hidden(kHiddenDescriptors)
                                        : FakeHost::kRamBase + kDescriptorPage * kPage;
  return page + queue * sizeof(figment_descriptor);
}

// Doorbells that came while the queue was PREEMPTED are lost; a driver says in the descriptor how
// far its ring is filled.
void World::announce_in_descriptor(uint32_t queue) {
  gpu_.host.store<uint64_t>(descriptor(queue) + offsetof(figment_descriptor, write),
                            ring_write_[queue]);
}

void World::submit() {
  const uint32_t queue = bytes_.u8() % (setting_.tenant ? kGuestQueues : kQueues);
  const std::vector<uint64_t> words = packet();
  tell(std::format("submit to queue {}: {:#x}, {} words", queue, words[0], words.size()));
  for (const uint64_t word : words) {
    const uint64_t at = (kRingPage + queue) * kPage + ring_write_[queue] % kPage;
    gpu_.host.store<uint64_t>(FakeHost::kRamBase + at, word);
    ring_write_[queue] += 8;
  }
  gpu_.doorbell(queue, ring_write_[queue]);
}

void World::write_packet(uint64_t bus) {
  const std::vector<uint64_t> words = packet();
  tell(std::format("packet at {:#x}: {:#x}", bus, words[0]));
  const uint64_t end = FakeHost::kRamBase + kWorkPages * kPage;
  for (size_t i = 0; i < words.size() && bus + i * 8 < end; ++i) {
    gpu_.host.store<uint64_t>(bus + i * 8, words[i]);
  }
}

void World::invalidate() {
  const uint8_t flags = bytes_.u8();
  const uint64_t event = flags & 0x80 ? FIGMENT_INVAL_EVENT : 0;
  // Up to all that may be under way, at once.
  const unsigned times = flags & 0x40 ? 70 : 1;
  const uint32_t asid = flags % (setting_.tenant ? kGuestQueues : kAsids);
  const unsigned kind = flags >> 3 & 3;
  uint64_t first = 0;
  uint64_t last = 0;
  if (kind == 0) {
    first = value();
    last = value();
  }
  tell(std::format("invalidate, kind {}, {:#x} to {:#x}, {} times", kind, first, last, times));
  for (unsigned i = 0; i < times; ++i) {
    switch (kind) {
      case 0:
        gpu_.invalidate(asid, first, last, event);
        break;
      case 1:
        gpu_.invalidate_asid(asid, event);
        break;
      default:
        gpu_.invalidate_all(event);
        break;
    }
  }
}

void World::table_entry() {
  const uint64_t page = bytes_.u8();
  const uint64_t index = bytes_.u16() % 512;
  const uint64_t word =
      ((page & 0x80 ? page % kWorkPages : kTablePage + page % 4) * kPage) / 8 + index;
  put_word(static_cast<uint16_t>(word), entry());
}

void World::write_register() {
  const uint64_t offset = register_offset();
  const uint8_t width = bytes_.u8();
  const uint64_t written = value();
  const unsigned bytes = width < 0xc0 ? 4 << (width & 1) : 1 << (width & 3);
  tell(std::format("register {:#x} = {:#x}, {} bytes", offset, written, bytes));
  gpu_.write(offset, written, bytes);
}

// The guest goes on in another model, which has only what the stream has; and then streams come
// that somebody has tampered with. One of those may be refused or not, but leaves a device.
void World::save_and_load() {
  tell("save, and load into another model");
  gpu_.replace_model();
  const uint8_t changes = bytes_.u8();
  if (setting_.tenant || changes == 0) return;
  std::vector<std::byte> stream = gpu_.save();
  for (unsigned i = 0; i < changes % 8u; ++i) {
    const uint64_t at = bytes_.u16() % stream.size();
    stream[at] = static_cast<std::byte>(bytes_.u8());
  }
  if (changes & 0x80) stream.resize(bytes_.u16() % (stream.size() + 1));
  tell("load a stream that was changed: " + gpu_.load(stream));
}

void World::run(unsigned steps) {
  tell(std::format("run {} steps", steps));
  steps_allowed_ = 1;
  for (unsigned i = 0; i < steps; ++i) {
    if (gpu_.run_steps(1).steps > 1) broken("more steps than allowed");
  }
}

// Rule 4. A driver that reads at most so many events.
void World::read_events(unsigned most) {
  if (!setting_.tenant) {
    const uint32_t written = gpu_.read32(FIGMENT_REG_EVENT_WRITE);
    tell(std::format("read events up to {} minus {}", written, most / 64));
    gpu_.write32(FIGMENT_REG_EVENT_READ, written - most / 64);
    return;
  }
  tell("read events");
  const uint32_t written = gpu_.read32(FIGMENT_REG_EVENT_WRITE);
  known_events_ += gpu_.events().size();
  if (known_events_ != written) broken("an event is not where its number says");
}

// Rule 5.
void World::expect_known_job() {
  tell("known job beside the others");
  witness_->submit(4711);
  // Time goes on by itself: others may always have something to do.
  gpu_.host.ns_per_look = 1000;
  const uint64_t until = gpu_.host.now_ns + kWitnessNs;
  for (uint64_t steps = 0; !witness_->done(); ++steps) {
    const figment_model_progress progress = gpu_.run_steps(1);
    read_events(0);
    if (progress.next_ns > gpu_.host.now_ns && !witness_->done()) {
      if (progress.next_ns > until) broken("the known job does not go on");
      gpu_.host.now_ns = progress.next_ns;
    }
    if (steps > kWitnessSteps) broken("the known job takes too long beside others");
  }
  gpu_.host.ns_per_look = 0;
  if (const std::string trouble = witness_->trouble(); !trouble.empty()) broken(trouble);
}

// Rule 6.
void World::expect_reset_restores() {
  meanwhile_.clear();
  gpu_.inject_clear();
  if (setting_.pci_reset_at_end) {
    tell("PCI reset, known jobs");
    gpu_.pci_reset();
  } else {
    tell("reset, known jobs");
    gpu_.write32(FIGMENT_REG_RESET, FIGMENT_RESET_KEY);
    const auto resetting = [&] {
      return (gpu_.read32(FIGMENT_REG_STATUS) & FIGMENT_STATUS_RESETTING) != 0;
    };
    for (unsigned i = 0; resetting(); ++i) {
      const figment_model_progress progress = gpu_.run_steps(1);
      if (!resetting()) break;
      if (i > 100 || progress.next_ns == FIGMENT_MODEL_NEVER) broken("a reset does not end");
      gpu_.host.now_ns = std::max(gpu_.host.now_ns, progress.next_ns);
    }
  }
  steps_allowed_ = 1000;
  const std::string trouble = known_job_trouble(gpu_, hidden(kHiddenJobs));
  if (!trouble.empty()) broken("after a reset: " + trouble);
}

// Called in the middle of every call of the model.
void World::other_processors() {
  // Rule 2.
  if (gpu_.host.calls_now() > most_calls_ * steps_allowed_) broken("unbounded work in a step");
  if (meanwhile_.empty() || in_meanwhile_) return;
  in_meanwhile_ = true;
  std::erase_if(meanwhile_, [&](const Meanwhile& store) {
    if (store.at_call > gpu_.host.calls()) return false;
    put_word(store.word, store.value);
    return true;
  });
  in_meanwhile_ = false;
}

uint64_t World::value() {
  const uint8_t kind = bytes_.u8() % kValueKinds;
  switch (kind) {
    case kSmall:
      return bytes_.u8();
    case kEights:
      return bytes_.u8() * 8ull;
    case kWorkVa: {
      const uint64_t page = bytes_.u8() % (kMappedPages + 1);
      return page * kPage + bytes_.u8() * 8ull;
    }
    case kWorkBus:
      return FakeHost::kRamBase + bytes_.u8() % (kWorkPages + 1) * kPage;
    case kOneBit:
      return 1ull << bytes_.u8() % 64;
    case kAllBelow:
      return (1ull << bytes_.u8() % 64) - 8;
    case kNegative:
      return ~uint64_t{bytes_.u8()};
    default:
      return bytes_.u64();
  }
}

// An address of the guest, mostly.
uint64_t World::operand() {
  const uint8_t kind = bytes_.u8();
  if (kind >= 0xc0) return value();
  return kind % kMappedPages * kPage + bytes_.u8() * 8ull + (kind & 0x40 ? 2ull << 20 : 0);
}

uint64_t World::entry() {
  const uint8_t kind = bytes_.u8();
  const uint64_t page = bytes_.u8();
  const uint64_t valid = FIGMENT_PTE_VALID;
  const uint64_t leaf = FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF | FIGMENT_PTE_WRITE;
  const uint64_t work = FakeHost::kRamBase + page % kWorkPages * kPage;
  switch (kind % 8) {
    case 0:
      return work | leaf;
    case 1:
      return work | valid;
    case 2:
      return (FakeHost::kRamBase + (kTablePage + page % 4) * kPage) | valid;  // loops
    case 3:
      return page * kPage | leaf | FIGMENT_PTE_VRAM;  // also past its end
    case 4:
      return page * kPage | valid | FIGMENT_PTE_VRAM;
    case 5:
      return (FakeHost::kDeviceBase + page % 17 * kPage) | (kind & 8 ? leaf : valid);
    case 6:
      return (work | leaf) ^ 1ull << page % 64;
    default:
      return value();
  }
}

uint64_t World::register_offset() {
  constexpr std::array<uint64_t, 41> kGlobal = {FIGMENT_REG_ID,
                                                FIGMENT_REG_VERSION,
                                                FIGMENT_REG_FEATURES,
                                                FIGMENT_REG_CONFIG,
                                                FIGMENT_REG_VRAM_BYTES,
                                                FIGMENT_REG_TIME,
                                                FIGMENT_REG_SCRATCH,
                                                FIGMENT_REG_GUEST_ERRORS,
                                                FIGMENT_REG_CONTROL,
                                                FIGMENT_REG_CONTROL,
                                                FIGMENT_REG_STATUS,
                                                FIGMENT_REG_RESET,
                                                FIGMENT_REG_ERROR,
                                                FIGMENT_REG_EVENT_BASE,
                                                FIGMENT_REG_EVENT_BASE,
                                                FIGMENT_REG_EVENT_SIZE_LG2,
                                                FIGMENT_REG_EVENT_SIZE_LG2,
                                                FIGMENT_REG_EVENT_READ,
                                                FIGMENT_REG_EVENT_WRITE,
                                                FIGMENT_REG_EVENT_STALLS,
                                                FIGMENT_REG_INVAL_FIRST,
                                                FIGMENT_REG_INVAL_LAST,
                                                FIGMENT_REG_INVAL_COMMAND,
                                                FIGMENT_REG_INVAL_SEQ,
                                                FIGMENT_REG_INVAL_DONE,
                                                FIGMENT_REG_INJECT_KIND,
                                                FIGMENT_REG_INJECT_WHEN,
                                                FIGMENT_REG_INJECT_NUMBER,
                                                FIGMENT_REG_INJECT_AFTER,
                                                FIGMENT_REG_INJECT_VALUE,
                                                FIGMENT_REG_INJECT_QUEUE,
                                                FIGMENT_REG_INJECT_ENGINE,
                                                FIGMENT_REG_INJECT_VECTOR,
                                                FIGMENT_REG_INJECT_EVENT,
                                                FIGMENT_REG_INJECT_FIRST,
                                                FIGMENT_REG_INJECT_LAST,
                                                FIGMENT_REG_INJECT_COMMAND,
                                                FIGMENT_REG_INJECT_RULES,
                                                FIGMENT_REG_INJECT_SELECT,
                                                FIGMENT_REG_INJECT_STRIKES,
                                                FIGMENT_REGISTERS_BYTES};
  const uint8_t which = bytes_.u8();
  if (which < kGlobal.size()) return kGlobal[which];
  if (which < 0x80) return FIGMENT_REG_QUEUE(which % (kQueues + 1)) + (which >> 3 & 15) * 4;
  if (which < 0xc0) return FIGMENT_REG_ASID_ROOT(which % (kAsids + 1));
  return bytes_.u16();
}

// Length, flags and operands are those of the opcode unless a byte says otherwise.
std::vector<uint64_t> World::packet() {
  static constexpr std::array<uint8_t, 10> kQwords = {1, 3, 4, 4, 5, 4, 3, 2, 2, 4};
  static constexpr std::array<uint8_t, 10> kFlags = {0, 1, 7, 0, 15, 15, 7, 0, 0, 0};
  const uint8_t opcode = bytes_.u8();
  const uint8_t flags = bytes_.u8();
  const uint8_t odd = bytes_.u8();
  const unsigned known = opcode % kQwords.size();
  uint64_t qwords = kQwords[known];
  if (odd & 0x80) qwords = odd & 0x7f;
  uint64_t header = FIGMENT_PACKET(odd == 0x7f ? opcode : known, qwords,
                                   odd == 0x7e ? flags * 0x01010101u : flags & kFlags[known]);
  if (odd == 0x7d) header |= 1 << 8;  // version
  std::vector<uint64_t> words(std::max<size_t>(kQwords[known], 1), 0);
  words[0] = header;
  // Which operand is no address: sizes, values, masks.
  static constexpr std::array<uint8_t, 10> kNumbers = {0,      0b100, 0b1100, 0b1000, 0b1100,
                                                       0b1100, 0b100, 0,      0b10,   0b100};
  for (size_t i = 1; i < words.size(); ++i) {
    words[i] = kNumbers[known] >> i & 1 ? value() : operand();
  }
  return words;
}

uint64_t World::hidden(uint64_t page) const {
  return setting_.options.host.hidden_base + page * kPage;
}

void World::tell(const std::string& text) const {
  if (telling) std::fprintf(stderr, "  %s\n", text.c_str());
}

void World::broken(const std::string& rule) const {
  std::fprintf(stderr, "figment-model-fuzz: broken rule: %s\n", rule.c_str());
  std::abort();
}

}  // namespace figment::fuzz

// SPDX-License-Identifier: MIT
#include "gpu.h"

#include <algorithm>

namespace figment::test {

Words nop(uint32_t qwords) {
  Words words(qwords, 0xdeadbeefdeadbeefull);
  words[0] = FIGMENT_PACKET(FIGMENT_OP_NOP, qwords, 0);
  return words;
}
Words indirect(uint64_t va, uint64_t bytes, uint32_t flags) {
  return {FIGMENT_PACKET(FIGMENT_OP_INDIRECT, 3, flags), va, bytes};
}
Words fill(uint64_t va, uint64_t bytes, uint64_t value, uint32_t flags) {
  return {FIGMENT_PACKET(FIGMENT_OP_FILL, 4, flags), va, bytes, value};
}
Words copy(uint64_t to, uint64_t from, uint64_t bytes) {
  return {FIGMENT_PACKET(FIGMENT_OP_COPY, 4, 0), to, from, bytes};
}
Words atomic(uint32_t flags, uint64_t va, uint64_t operand, uint64_t compare, uint64_t result) {
  return {FIGMENT_PACKET(FIGMENT_OP_ATOMIC, 5, flags), va, operand, compare, result};
}
Words wait(uint32_t flags, uint64_t va, uint64_t reference, uint64_t mask) {
  return {FIGMENT_PACKET(FIGMENT_OP_WAIT, 4, flags), va, reference, mask};
}
Words release(uint32_t flags, uint64_t va, uint64_t value) {
  return {FIGMENT_PACKET(FIGMENT_OP_RELEASE, 3, flags), va, value};
}
Words fence(uint64_t value) {
  return release(FIGMENT_RELEASE_EVENT, 0, value);
}
Words timestamp(uint64_t va) {
  return {FIGMENT_PACKET(FIGMENT_OP_TIMESTAMP, 2, 0), va};
}
Words spin(uint64_t ns) {
  return {FIGMENT_PACKET(FIGMENT_OP_SPIN, 2, 0), ns};
}
Words chase(uint64_t va, uint64_t count, uint64_t result) {
  return {FIGMENT_PACKET(FIGMENT_OP_CHASE, 4, 0), va, count, result};
}
Words operator+(Words first, const Words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

GpuOptions::GpuOptions() {
  figment_model_api(FIGMENT_MODEL_ABI)->defaults(&config);
}

void Gpu::Destroy::operator()(figment_model* model) const {
  figment_model_api(FIGMENT_MODEL_ABI)->destroy(model);
}

Gpu::Gpu(const GpuOptions& options)
    : host(options.host),
      config(options.config),
      api_(figment_model_api(FIGMENT_MODEL_ABI)),
      complain_(options.complain),
      event_lg2_(options.event_lg2) {
  create_model();
  event_base_ =
      options.event_base ? options.event_base : allocate(FIGMENT_EVENT_BYTES << event_lg2_);
  bring_up();
}

void Gpu::create_model() {
  char error[200] = "";
  const figment_model_host interface = host.interface();
  model_.reset(api_->create(&config, &interface, error, sizeof(error)));
  if (!model_) throw std::runtime_error(error);
}

std::vector<std::byte> Gpu::save() {
  std::vector<std::byte> stream(api_->save(model_.get(), nullptr, 0));
  EXPECT_EQ(api_->save(model_.get(), stream.data(), stream.size()), stream.size());
  check_host();
  return stream;
}

std::string Gpu::load(std::span<const std::byte> stream) {
  char error[300] = "";
  const bool loaded =
      api_->load(model_.get(), stream.data(), stream.size(), error, sizeof(error));
  check_host();
  EXPECT_EQ(loaded, error[0] == '\0') << error;
  return error;
}

void Gpu::replace_model() {
  const std::vector<std::byte> stream = save();
  create_model();
  const std::string trouble = load(stream);
  if (!trouble.empty()) ADD_FAILURE() << "its own state is refused: " << trouble;
}

void Gpu::check_host() {
  const std::string complaints = host.complaints();
  if (complaints.empty()) return;
  if (complain_) return complain_(complaints);
  ADD_FAILURE() << complaints;
}

uint64_t Gpu::read(uint64_t offset, unsigned bytes) {
  const uint64_t value = api_->register_read(model_.get(), offset, bytes);
  check_host();
  return value;
}

void Gpu::write(uint64_t offset, uint64_t value, unsigned bytes) {
  api_->register_write(model_.get(), offset, value, bytes);
  check_host();
}

uint64_t Gpu::doorbell_read(uint64_t offset, unsigned bytes) {
  const uint64_t value = api_->doorbell_read(model_.get(), offset, bytes);
  check_host();
  return value;
}

void Gpu::doorbell(uint32_t queue, uint64_t value) {
  doorbell(uint64_t{queue} * FIGMENT_DOORBELL_BYTES, value, 8);
}

void Gpu::doorbell(uint64_t offset, uint64_t value, unsigned bytes) {
  api_->doorbell_write(model_.get(), offset, value, bytes);
  check_host();
}

void Gpu::bring_up() {
  host.zero(event_base_, FIGMENT_EVENT_BYTES << event_lg2_);
  event_read_ = 0;
  write64(FIGMENT_REG_EVENT_BASE, event_base_);
  write32(FIGMENT_REG_EVENT_SIZE_LG2, event_lg2_);
  write32(FIGMENT_REG_CONTROL, FIGMENT_CONTROL_ENABLE);
}

figment_model_progress Gpu::run_steps(uint64_t steps) {
  const figment_model_progress progress = api_->run(model_.get(), steps);
  check_host();
  return progress;
}

figment_model_progress Gpu::run_now() {
  for (;;) {
    const figment_model_progress progress = run_steps(1000);
    if (progress.next_ns > host.now_ns) return progress;
  }
}

void Gpu::run_all(uint64_t for_ns, uint64_t most_steps) {
  const uint64_t end = host.now_ns + for_ns;
  for (uint64_t steps = 0; steps < most_steps;) {
    const figment_model_progress progress = run_steps(1000);
    steps += progress.steps;
    if (progress.next_ns >= end) return;
    host.now_ns = std::max(host.now_ns, progress.next_ns);
  }
}

void Gpu::pci_reset() {
  api_->reset(model_.get());
  check_host();
}

std::string Gpu::inject_refusal(const std::string& text) {
  figment_injection rule;
  char error[300] = "";
  const bool armed = api_->inject_parse(text.c_str(), &rule, error, sizeof(error)) &&
                     api_->inject(model_.get(), &rule, error, sizeof(error)) >= 0;
  check_host();
  EXPECT_EQ(armed, error[0] == '\0') << error;
  return error;
}

unsigned Gpu::inject(const std::string& text) {
  const std::string refusal = inject_refusal(text);
  if (!refusal.empty()) throw std::runtime_error(refusal);
  const std::string report = inject_report();
  return static_cast<unsigned>(std::ranges::count(report, '\n')) - 1;
}

void Gpu::inject_clear() {
  api_->inject_clear(model_.get());
  check_host();
}

uint64_t Gpu::strikes(unsigned rule) {
  return api_->inject_count(model_.get(), rule);
}

std::string Gpu::inject_report() {
  std::string report(api_->inject_report(model_.get(), nullptr, 0), '\0');
  EXPECT_EQ(api_->inject_report(model_.get(), report.data(), report.size() + 1), report.size());
  return report;
}

bool Gpu::removed() {
  return api_->removed(model_.get());
}

uint64_t Gpu::allocate(uint64_t bytes, uint64_t alignment) {
  const uint64_t at = (next_free_ + alignment - 1) & ~(alignment - 1);
  next_free_ = at + ((bytes + kPage - 1) & ~(kPage - 1));
  if (!host.memory(at, bytes)) throw std::runtime_error("the fake host has too little RAM");
  return at;
}

// A table, as an entry without flags points to it.
uint64_t Gpu::allocate_table() {
  if (!vram_tables) return allocate(kPage);
  next_vram_table_ += kPage;
  return (host.vram.size() - next_vram_table_) | FIGMENT_PTE_VRAM;
}

uint64_t Gpu::table_load(uint64_t entry, uint64_t index) {
  const uint64_t at = (entry & FIGMENT_PTE_ADDRESS) + index * 8;
  if (!(entry & FIGMENT_PTE_VRAM)) return host.load<uint64_t>(at);
  uint64_t value;
  std::memcpy(&value, host.vram.data() + at, 8);
  return value;
}

void Gpu::table_store(uint64_t entry, uint64_t index, uint64_t value) {
  const uint64_t at = (entry & FIGMENT_PTE_ADDRESS) + index * 8;
  if (!(entry & FIGMENT_PTE_VRAM)) return host.store<uint64_t>(at, value);
  std::memcpy(host.vram.data() + at, &value, 8);
}

void Gpu::set_pte(uint32_t asid, uint64_t va, unsigned level, uint64_t entry) {
  if (!(read64(FIGMENT_REG_ASID_ROOT(asid)) & FIGMENT_ROOT_VALID)) {
    write64(FIGMENT_REG_ASID_ROOT(asid), allocate_table() | FIGMENT_ROOT_VALID);
  }
  uint64_t table = read64(FIGMENT_REG_ASID_ROOT(asid));
  for (unsigned at = FIGMENT_PT_LEVELS - 1;; --at) {
    const uint64_t index = va >> (12 + 9 * at) & 511;
    if (at == level) return table_store(table, index, entry);
    uint64_t next = table_load(table, index);
    if (!(next & FIGMENT_PTE_VALID)) {
      next = allocate_table() | FIGMENT_PTE_VALID;
      table_store(table, index, next);
    }
    table = next;
  }
}

uint64_t Gpu::pte_address(uint32_t asid, uint64_t va, unsigned level) {
  uint64_t table = read64(FIGMENT_REG_ASID_ROOT(asid));
  for (unsigned at = FIGMENT_PT_LEVELS - 1; at != level; --at) {
    table = table_load(table, va >> (12 + 9 * at) & 511);
  }
  return (table & FIGMENT_PTE_ADDRESS) + (va >> (12 + 9 * level) & 511) * 8;
}

void Gpu::map(uint32_t asid, uint64_t va, uint64_t address, uint64_t bytes, uint64_t flags,
              uint64_t page_bytes) {
  for (uint64_t offset = 0; offset < bytes; offset += page_bytes) {
    set_pte(asid, va + offset, page_bytes == kPage ? 0 : 1,
            (address + offset) | flags | FIGMENT_PTE_VALID | FIGMENT_PTE_LEAF);
  }
}

uint64_t Gpu::map_new(uint32_t asid, uint64_t va, uint64_t bytes, uint64_t flags) {
  const uint64_t bus = allocate(bytes);
  map(asid, va, bus, bytes, flags);
  return bus;
}

uint64_t Gpu::invalidate(uint32_t asid, uint64_t first, uint64_t last, uint64_t flags) {
  write64(FIGMENT_REG_INVAL_FIRST, first);
  write64(FIGMENT_REG_INVAL_LAST, last);
  write64(FIGMENT_REG_INVAL_COMMAND, asid | flags);
  return read64(FIGMENT_REG_INVAL_SEQ);
}

uint64_t Gpu::invalidate_asid(uint32_t asid, uint64_t flags) {
  write64(FIGMENT_REG_INVAL_COMMAND, asid | FIGMENT_INVAL_KIND_ASID << 16 | flags);
  return read64(FIGMENT_REG_INVAL_SEQ);
}

uint64_t Gpu::invalidate_all(uint64_t flags) {
  write64(FIGMENT_REG_INVAL_COMMAND, FIGMENT_INVAL_KIND_ALL << 16 | flags);
  return read64(FIGMENT_REG_INVAL_SEQ);
}

std::vector<figment_event> Gpu::events() {
  std::vector<figment_event> found;
  for (;;) {
    const uint32_t slot = event_read_ & ((1u << event_lg2_) - 1);
    const auto event =
        host.load<figment_event>(event_base_ + uint64_t{slot} * sizeof(figment_event));
    if (event.seq != event_read_ + 1) break;
    found.push_back(event);
    ++event_read_;
  }
  if (!found.empty()) write32(FIGMENT_REG_EVENT_READ, event_read_);
  return found;
}

std::vector<figment_event> Gpu::events_of(uint16_t type) {
  std::vector<figment_event> found = events();
  std::erase_if(found, [&](const figment_event& event) { return event.type != type; });
  return found;
}

Ring::Ring(Gpu& gpu, uint32_t queue, const Options& options)
    : gpu_(gpu),
      queue_(queue),
      options_(options),
      ring_va_(options.va ? options.va : 0x7f00'0000'0000 + queue * 0x100'0000ull) {
  const uint64_t bytes = 1ull << options.lg2;
  ring_bus_ = gpu.map_new(options.asid, ring_va_, bytes, 0);
  descriptor_ = gpu.allocate(kPage);
  start();
}

void Ring::start() {
  figment_descriptor d{};
  d.ring_address = ring_va_;
  d.ring_bytes_lg2 = options_.lg2;
  d.asid = options_.asid;
  d.priority = options_.priority;
  d.flags = options_.flags;
  d.timeslice_ns = options_.timeslice_ns;
  d.read = d.write = options_.start;
  gpu_.host.store(descriptor_, d);
  write_ = options_.start;
  gpu_.write64(FIGMENT_REG_QUEUE(queue_) + FIGMENT_QUEUE_DESC, descriptor_);
  gpu_.command(queue_, FIGMENT_QUEUE_START);
}

void Ring::push(const Words& words) {
  const uint64_t mask = (1ull << options_.lg2) - 1;
  for (const uint64_t word : words) {
    gpu_.host.store<uint64_t>(ring_bus_ + (write_ & mask), word);
    write_ += 8;
  }
}

OneQueue::OneQueue(const GpuOptions& options)
    : gpu(options), data_bus(gpu.map_new(kAsid, kData, kDataBytes)), ring(gpu, 0) {}

void OneQueue::number_bytes() {
  for (uint64_t i = 0; i < kDataBytes; ++i) {
    bytes(i, 1)[0] = static_cast<std::byte>(i * 131 + (i >> 8) * 7);
  }
}

void OneQueue::run_ok(const Words& words) {
  ring.submit(words);
  gpu.run_all();
  ASSERT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_READY)
      << "code " << gpu.queue_code(0) << " at " << std::hex << gpu.queue_address(0);
  ASSERT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), ring.write());
}

void OneQueue::run_error(const Words& words, uint32_t code, std::optional<uint64_t> address) {
  gpu.events();
  ring.submit(words);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(gpu.queue_code(0), code);
  EXPECT_EQ(gpu.queue_address(0), address.value_or(gpu.queue_address(0)));
  const auto errors = gpu.events_of(FIGMENT_EVENT_QUEUE_ERROR);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].detail, code);
  EXPECT_EQ(errors[0].value, gpu.queue_address(0));
  EXPECT_EQ(ring.load().state, FIGMENT_QUEUE_ERROR);
  EXPECT_EQ(ring.load().code, code);
  gpu.command(0, FIGMENT_QUEUE_RESET);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_state(0), FIGMENT_QUEUE_OFF);
  EXPECT_EQ(gpu.events_of(FIGMENT_EVENT_QUEUE_RESET).size(), 1u);
  ring.start();
}

}  // namespace figment::test

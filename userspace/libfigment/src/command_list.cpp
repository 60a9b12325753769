// SPDX-License-Identifier: MIT
#include "figment/command_list.h"

#include <bit>
#include <cstring>
#include <stdexcept>

namespace figment {
namespace {

// The contract is little-endian and so are the hosts of this library; another one
// would have to convert each field here.
static_assert(std::endian::native == std::endian::little);

template <typename Packet>
constexpr std::uint64_t header(unsigned opcode, std::uint32_t flags = 0) {
  static_assert(sizeof(Packet) % sizeof(std::uint64_t) == 0);
  return FIGMENT_PACKET(opcode, sizeof(Packet) / sizeof(std::uint64_t), flags);
}

}  // namespace

template <typename Packet>
CommandList& CommandList::append(const Packet& packet) {
  const std::size_t at = words_.size();
  words_.resize(at + sizeof(Packet) / sizeof(std::uint64_t));
  std::memcpy(&words_[at], &packet, sizeof(Packet));
  return *this;
}

CommandList& CommandList::nop(std::uint16_t qwords) {
  if (qwords == 0) throw std::invalid_argument("a NOP has at least its header");
  words_.push_back(FIGMENT_PACKET(FIGMENT_OP_NOP, qwords, 0));
  words_.resize(words_.size() + qwords - 1);
  return *this;
}

CommandList& CommandList::indirect(const Indirect& packet) {
  return append(figment_packet_indirect{
      .header = header<figment_packet_indirect>(FIGMENT_OP_INDIRECT, packet.flags),
      .address = packet.at.value,
      .bytes = packet.bytes});
}

CommandList& CommandList::fill(const Fill& packet) {
  if (!std::has_single_bit(packet.element_bytes) || packet.element_bytes > 8) {
    throw std::invalid_argument("an element of FILL has 1, 2, 4 or 8 bytes");
  }
  std::uint32_t flags = static_cast<std::uint32_t>(std::countr_zero(packet.element_bytes));
  if (packet.increment) flags |= FIGMENT_FILL_INCREMENT;
  return append(figment_packet_fill{.header = header<figment_packet_fill>(FIGMENT_OP_FILL, flags),
                                    .address = packet.at.value,
                                    .bytes = packet.bytes,
                                    .value = packet.value});
}

CommandList& CommandList::copy(const Copy& packet) {
  return append(figment_packet_copy{.header = header<figment_packet_copy>(FIGMENT_OP_COPY),
                                    .destination = packet.to.value,
                                    .source = packet.from.value,
                                    .bytes = packet.bytes});
}

CommandList& CommandList::atomic(const Atomic& packet) {
  auto flags = static_cast<std::uint32_t>(packet.kind);
  if (packet.width == Width::bits64) flags |= FIGMENT_ATOMIC_64;
  if (packet.result) flags |= FIGMENT_ATOMIC_RETURN;
  return append(
      figment_packet_atomic{.header = header<figment_packet_atomic>(FIGMENT_OP_ATOMIC, flags),
                            .address = packet.at.value,
                            .operand = packet.operand,
                            .compare = packet.compare,
                            .result = packet.result.value_or(GpuVa{}).value});
}

CommandList& CommandList::wait(const Wait& packet) {
  auto flags = static_cast<std::uint32_t>(packet.compare);
  if (packet.width == Width::bits64) flags |= FIGMENT_WAIT_64;
  return append(figment_packet_wait{.header = header<figment_packet_wait>(FIGMENT_OP_WAIT, flags),
                                    .address = packet.at.value,
                                    .reference = packet.reference,
                                    .mask = packet.mask});
}

CommandList& CommandList::release(const Release& packet) {
  std::uint32_t flags = 0;
  if (packet.at) flags |= FIGMENT_RELEASE_WRITE;
  if (packet.width == Width::bits64) flags |= FIGMENT_RELEASE_64;
  if (packet.event) flags |= FIGMENT_RELEASE_EVENT;
  return append(
      figment_packet_release{.header = header<figment_packet_release>(FIGMENT_OP_RELEASE, flags),
                             .address = packet.at.value_or(GpuVa{}).value,
                             .value = packet.value});
}

CommandList& CommandList::timestamp(GpuVa at) {
  return append(figment_packet_timestamp{
      .header = header<figment_packet_timestamp>(FIGMENT_OP_TIMESTAMP), .address = at.value});
}

CommandList& CommandList::spin(std::chrono::nanoseconds busy) {
  return append(figment_packet_spin{.header = header<figment_packet_spin>(FIGMENT_OP_SPIN),
                                    .ns = static_cast<std::uint64_t>(busy.count())});
}

CommandList& CommandList::chase(const Chase& packet) {
  return append(figment_packet_chase{.header = header<figment_packet_chase>(FIGMENT_OP_CHASE),
                                     .address = packet.from.value,
                                     .count = packet.count,
                                     .result = packet.result.value});
}

CommandList& CommandList::raw(std::span<const std::uint64_t> words) {
  words_.insert(words_.end(), words.begin(), words.end());
  return *this;
}

void CommandList::write_to(std::span<std::byte> to) const {
  if (to.size() < bytes()) throw std::length_error("the buffer is shorter than the command list");
  std::memcpy(to.data(), words_.data(), bytes());
}

}  // namespace figment

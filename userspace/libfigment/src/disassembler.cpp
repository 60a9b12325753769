// SPDX-License-Identifier: MIT
#include "figment/disassembler.h"

#include <algorithm>
#include <array>
#include <format>

#include "figment_hw.h"

namespace figment {
namespace {

using Words = std::span<const std::uint64_t>;

std::uint32_t flags_of(std::uint64_t header) {
  return static_cast<std::uint32_t>(header >> 32);
}

std::string indirect(std::uint32_t flags, Words words) {
  return std::format("{:#x} bytes at {:#x}{}", words[2], words[1],
                     flags & FIGMENT_INDIRECT_PRIVILEGED ? ", privileged" : "");
}

std::string fill(std::uint32_t flags, Words words) {
  const unsigned element = 1u << (flags & FIGMENT_FILL_ELEMENT_LG2);
  return std::format("{:#x} bytes at {:#x} with {:#x}{} ({} {} each)", words[2], words[1], words[3],
                     flags & FIGMENT_FILL_INCREMENT ? " and on" : "", element,
                     element == 1 ? "byte" : "bytes");
}

std::string copy(std::uint32_t, Words words) {
  return std::format("{:#x} bytes from {:#x} to {:#x}", words[3], words[2], words[1]);
}

std::string atomic(std::uint32_t flags, Words words) {
  std::string text;
  switch (flags & FIGMENT_ATOMIC_KIND) {
    case FIGMENT_ATOMIC_ADD:
      text = std::format("add {:#x} to", words[2]);
      break;
    case FIGMENT_ATOMIC_CAS:
      text = std::format("if it is {:#x} store {:#x} at", words[3], words[2]);
      break;
    case FIGMENT_ATOMIC_XCHG:
      text = std::format("exchange {:#x} with", words[2]);
      break;
    default:
      text = "unknown, at";
  }
  text += std::format(" {:#x} ({} bits)", words[1], flags & FIGMENT_ATOMIC_64 ? 64 : 32);
  if (flags & FIGMENT_ATOMIC_RETURN) text += std::format(", old value to {:#x}", words[4]);
  return text;
}

std::string wait(std::uint32_t flags, Words words) {
  constexpr std::array<std::string_view, 8> kCompare = {"==", "!=", "<", "<=", ">", ">=", "?", "?"};
  return std::format("until the word at {:#x} & {:#x} {} {:#x} ({} bits)", words[1], words[3],
                     kCompare[flags & FIGMENT_WAIT_COMPARE], words[2],
                     flags & FIGMENT_WAIT_64 ? 64 : 32);
}

std::string release(std::uint32_t flags, Words words) {
  std::string text = std::format("{:#x}", words[2]);
  if (flags & FIGMENT_RELEASE_WRITE) {
    text += std::format(" to {:#x} ({} bits)", words[1], flags & FIGMENT_RELEASE_64 ? 64 : 32);
  }
  return text + (flags & FIGMENT_RELEASE_EVENT ? ", with an event" : "");
}

std::string timestamp(std::uint32_t, Words words) {
  return std::format("to {:#x}", words[1]);
}

std::string spin(std::uint32_t, Words words) {
  return std::format("{} ns", words[1]);
}

std::string chase(std::uint32_t, Words words) {
  std::string text = std::format("{} pointers from {:#x}", words[2], words[1]);
  if (words[3] != 0) text += std::format(", the last one to {:#x}", words[3]);
  return text;
}

struct Opcode {
  std::string_view name;
  std::uint64_t qwords;  // 0: any
  std::uint32_t flags;   // that it may have
  std::string (*operands)(std::uint32_t flags, Words words);
};

// By opcode.
constexpr std::array<Opcode, FIGMENT_OP_CHASE + 1> kOpcodes = {{
    {"NOP", 0, 0, nullptr},
    {"INDIRECT", 3, FIGMENT_INDIRECT_PRIVILEGED, indirect},
    {"FILL", 4, FIGMENT_FILL_ELEMENT_LG2 | FIGMENT_FILL_INCREMENT, fill},
    {"COPY", 4, 0, copy},
    {"ATOMIC", 5, FIGMENT_ATOMIC_KIND | FIGMENT_ATOMIC_64 | FIGMENT_ATOMIC_RETURN, atomic},
    {"WAIT", 4, FIGMENT_WAIT_COMPARE | FIGMENT_WAIT_64, wait},
    {"RELEASE", 3, FIGMENT_RELEASE_WRITE | FIGMENT_RELEASE_64 | FIGMENT_RELEASE_EVENT, release},
    {"TIMESTAMP", 2, 0, timestamp},
    {"SPIN", 2, 0, spin},
    {"CHASE", 4, 0, chase},
}};

// The first packet of `words`, of which there is at least one. In the order of the device's checks.
DisassembledPacket first_packet(Words words, std::uint64_t at) {
  const std::uint64_t header = words[0];
  const std::uint64_t version = (header & FIGMENT_PACKET_VERSION) >> 8;
  const std::uint64_t opcode = header & FIGMENT_PACKET_OPCODE;
  const std::uint64_t qwords = (header & FIGMENT_PACKET_QWORDS) >> 16;
  const std::uint32_t flags = flags_of(header);
  DisassembledPacket packet{.at = at};
  if (version != FIGMENT_PACKET_VERSION_0 || opcode >= kOpcodes.size()) {
    packet.text = std::format("{:#018x}", header);
    packet.problem = version != FIGMENT_PACKET_VERSION_0
                         ? std::format("version {} of packets is unknown", version)
                         : std::format("opcode {:#x} is unknown", opcode);
    return packet;
  }
  const Opcode& kind = kOpcodes[opcode];
  packet.text = kind.name;
  packet.qwords = std::clamp<std::uint64_t>(qwords, 1, words.size());
  if (qwords == 0 || (kind.qwords != 0 && qwords != kind.qwords)) {
    packet.problem = std::format("{} qwords, but it must have {}", qwords,
                                 kind.qwords ? std::to_string(kind.qwords) : "some");
    return packet;
  }
  // A NOP's operands are not fetched, but must be there all the same.
  if (qwords > words.size()) {
    packet.problem = std::format("{} qwords, but {} are left", qwords, words.size());
    return packet;
  }
  if (kind.operands) packet.text += " " + kind.operands(flags, words);
  if (!kind.operands && qwords > 1) packet.text += std::format(" of {} qwords", qwords);
  if (flags & ~kind.flags) {
    packet.problem = std::format("flags {:#x} are reserved", flags & ~kind.flags);
  } else if (opcode == FIGMENT_OP_ATOMIC && (flags & FIGMENT_ATOMIC_KIND) > FIGMENT_ATOMIC_XCHG) {
    packet.problem = "there is no such operation";
  } else if (opcode == FIGMENT_OP_WAIT && (flags & FIGMENT_WAIT_COMPARE) > FIGMENT_WAIT_GE) {
    packet.problem = "there is no such comparison";
  } else if (opcode == FIGMENT_OP_INDIRECT) {
    packet.calls = GpuVa{words[1]};
    packet.called_bytes = words[2];
  }
  return packet;
}

struct Code {
  std::string_view name;
  std::string_view meaning;
};

// In the order of FIGMENT_CODE_*.
constexpr std::array<Code, FIGMENT_CODE_KILLED + 1> kCodes = {{
    {"NONE", "the device has nothing to complain of"},
    {"DESCRIPTOR", "the descriptor of the queue cannot be read or is wrong"},
    {"DOORBELL", "a doorbell was rung with a wrong value"},
    {"OPCODE", "a packet has an unknown opcode"},
    {"VERSION", "a packet has an unknown version"},
    {"LENGTH", "a packet has a wrong length"},
    {"FIELD", "a packet has a wrong flag or operand"},
    {"NESTING", "INDIRECT was nested too deep"},
    {"UNMAPPED", "nothing is mapped there"},
    {"PERMISSION", "it may not be accessed in this way"},
    {"PAGE_TABLE", "the page tables are malformed"},
    {"BUS", "memory does not answer"},
    {"KILLED", "the driver has refused to make the page present"},
}};

constexpr std::array<std::string_view, FIGMENT_QUEUE_ERROR + 1> kStates = {
    "OFF", "READY", "STOPPING", "PREEMPTED", "FAULTED", "ERROR"};

}  // namespace

std::vector<DisassembledPacket> disassemble(Words words, std::uint64_t address) {
  std::vector<DisassembledPacket> packets;
  for (std::size_t i = 0; i < words.size(); i += packets.back().qwords) {
    packets.push_back(first_packet(words.subspan(i), address + i * sizeof(std::uint64_t)));
    if (!packets.back().problem.empty()) break;
  }
  return packets;
}

std::string code_name(std::uint64_t code) {
  return code < kCodes.size() ? std::string(kCodes[code].name) : std::to_string(code);
}

std::string_view code_meaning(std::uint64_t code) {
  return code < kCodes.size() ? kCodes[code].meaning : "there is no such code";
}

std::string queue_state_name(std::uint64_t state) {
  return state < kStates.size() ? std::string(kStates[state]) : std::to_string(state);
}

}  // namespace figment

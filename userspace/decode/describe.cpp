// SPDX-License-Identifier: MIT
#include "describe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <set>

#include "figment/disassembler.h"
#include "figment_hw.h"

namespace figment::decode {
namespace {

using Json = nlohmann::ordered_json;

// What is named only once, not once for each of a thousand.
constexpr std::size_t kMappingsShown = 64;

std::string errno_name(std::int64_t error) {
  const char* name =
      error < 0 && error > -4096 ? ::strerrorname_np(static_cast<int>(-error)) : nullptr;
  return name ? name : std::format("errno {}", error);
}

// What went wrong, in a sentence.
std::string reason(const Dump& dump) {
  if (dump.code != FIGMENT_CODE_NONE) {
    return std::format("{} ({} at {:#x})", code_meaning(dump.code), code_name(dump.code),
                       dump.address);
  }
  if (dump.error == -ETIME) return "it took too long, or did not leave the device when it had to";
  return "the driver says no more";
}

// --- packets ---

struct Line {
  std::uint64_t at = 0;  // an address, or an offset that goes on for ever
  DisassembledPacket packet;
};

// What is in the ring of free-running offsets [begin, end).
std::vector<Line> ring_packets(const Dump& dump, std::uint64_t begin, std::uint64_t end) {
  const std::uint64_t count = dump.ring.words.size();
  std::vector<std::uint64_t> words;
  if (count == 0 || end < begin || (end - begin) / 8 > count) return {};
  for (std::uint64_t at = begin / 8; at < end / 8; ++at)
    words.push_back(dump.ring.words[at % count]);
  std::vector<Line> lines;
  for (DisassembledPacket& packet : disassemble(words, begin)) {
    const std::uint64_t at = packet.at;
    lines.push_back({.at = at, .packet = std::move(packet)});
  }
  return lines;
}

// From the guilty job on: those before it have ended.
std::vector<Line> guilty_packets(const Dump& dump) {
  return ring_packets(dump, dump.job.begin, dump.write);
}

std::vector<Line> packets_of(const DumpedMemory& memory) {
  std::vector<Line> lines;
  for (DisassembledPacket& packet : disassemble(memory.words, memory.address)) {
    const std::uint64_t at = packet.at;
    lines.push_back({.at = at, .packet = std::move(packet)});
  }
  return lines;
}

// Where the device was, when its registers were read; nothing when it did not tell.
const Line* where_it_was(const Dump& dump, const std::vector<Line>& ring) {
  const DumpedQueueRegisters* registers = dump.registers_of_queue();
  if (!registers) return nullptr;
  const auto found = std::ranges::find(ring, registers->read, &Line::at);
  return found == ring.end() ? nullptr : &*found;
}

// The packet that the device complains of is at the address that it gives.
bool is_about_a_packet(std::uint64_t code) {
  return code >= FIGMENT_CODE_OPCODE && code <= FIGMENT_CODE_NESTING;
}

std::string packet_lines(const Dump& dump, const std::vector<Line>& lines, std::uint64_t here) {
  std::string text;
  for (const Line& line : lines) {
    const bool guilty = is_about_a_packet(dump.code) && line.at == dump.address;
    const bool marked = line.at == here || guilty;
    text += std::format("  {} {:#014x}  {}", marked ? ">" : " ", line.at, line.packet.text);
    if (!line.packet.problem.empty()) text += "    <- " + line.packet.problem;
    text += "\n";
  }
  return text;
}

Json packets_json(const std::vector<Line>& lines) {
  Json all = Json::array();
  for (const Line& line : lines) {
    Json one = {{"at", line.at}, {"packet", line.packet.text}};
    if (!line.packet.problem.empty()) one["problem"] = line.packet.problem;
    all.push_back(std::move(one));
  }
  return all;
}

// --- registers ---

struct Field {
  std::string_view name;
  std::uint64_t mask;
};
struct Register {
  std::string_view name;
  std::vector<Field> fields;
};

const std::vector<Register>& registers_with_fields() {
  static const std::vector<Register> all = {
      {"VERSION", {{"major", FIGMENT_VERSION_MAJOR}, {"minor", FIGMENT_VERSION_MINOR}}},
      {"FEATURES",
       {{"faults", FIGMENT_FEATURE_FAULTS},
        {"inject", FIGMENT_FEATURE_INJECT},
        {"preempt", FIGMENT_FEATURE_PREEMPT}}},
      {"CONFIG",
       {{"engines", FIGMENT_CONFIG_ENGINES},
        {"queues", FIGMENT_CONFIG_QUEUES},
        {"asids", FIGMENT_CONFIG_ASIDS},
        {"va_bits", FIGMENT_CONFIG_VA_BITS}}},
      {"CONTROL", {{"enable", FIGMENT_CONTROL_ENABLE}}},
      {"STATUS", {{"idle", FIGMENT_STATUS_IDLE}, {"resetting", FIGMENT_STATUS_RESETTING}}},
      {"ERROR",
       {{"event_bus", FIGMENT_ERROR_EVENT_BUS},
        {"event_full", FIGMENT_ERROR_EVENT_FULL},
        {"inval_full", FIGMENT_ERROR_INVAL_FULL},
        {"desc_bus", FIGMENT_ERROR_DESC_BUS}}},
  };
  return all;
}

std::string field_words(std::string_view name, std::uint64_t value) {
  const auto found = std::ranges::find(registers_with_fields(), name, &Register::name);
  if (found == registers_with_fields().end()) return "";
  std::string text;
  for (const Field& field : found->fields) {
    const std::uint64_t lowest = field.mask & -field.mask;
    text += std::format("{}{} {}", text.empty() ? "  " : ", ", field.name,
                        (value & field.mask) / lowest);
  }
  return text;
}

std::optional<std::uint64_t> register_of(const Dump& dump, std::string_view name) {
  const auto found =
      std::ranges::find(dump.registers, name, &decltype(dump.registers)::value_type::first);
  if (found == dump.registers.end()) return std::nullopt;
  return found->second;
}

std::string engine_words(std::uint64_t engine) {
  return engine == 0xffffffff ? "no engine" : std::format("engine {}", engine);
}

// What strikes the eye, and what it means.
std::string remarks(const Dump& dump) {
  std::string text;
  if (register_of(dump, "ID").value_or(FIGMENT_ID) != FIGMENT_ID) {
    text += "The device does not answer: its registers read as ones, or it is no Figment.\n";
  }
  if (register_of(dump, "INJECT_RULES").value_or(0) != 0) {
    text += "Rules of injection were armed: the device may misbehave on purpose.\n";
  }
  const auto seq = register_of(dump, "INVAL_SEQ"), done = register_of(dump, "INVAL_DONE");
  if (seq && done && *seq > *done) {
    text += std::format("{} invalidations were not acknowledged.\n", *seq - *done);
  }
  if (dump.ended > dump.seqno) {
    text += std::format(
        "The ring says that job {} has ended, but {} was the last: a corrupt "
        "completion.\n",
        dump.ended, dump.seqno);
  }
  return text;
}

// --- address space ---

std::string entry_words(std::uint64_t entry, bool root) {
  if (!(entry & FIGMENT_PTE_VALID)) return "not valid";
  std::string text = std::format("{} {:#x}", entry & FIGMENT_PTE_VRAM ? "VRAM" : "system",
                                 entry & FIGMENT_PTE_ADDRESS);
  if (root) return text + (entry & FIGMENT_ROOT_FAULTS ? ", recoverable faults" : "");
  if (!(entry & FIGMENT_PTE_LEAF)) return "table, " + text;
  return "leaf, " + text + (entry & FIGMENT_PTE_WRITE ? ", writable" : ", read-only") +
         (entry & FIGMENT_PTE_PRIVILEGED ? ", privileged" : "");
}

bool has_address(const Dump& dump) {
  return dump.code >= FIGMENT_CODE_UNMAPPED && dump.code <= FIGMENT_CODE_KILLED;
}

std::string walk_words(const Dump& dump) {
  std::string text =
      std::format("  root     {:#018x}  {}\n", dump.root, entry_words(dump.root, true));
  for (const auto& [level, entry] : dump.entries) {
    text += std::format("  level {}  {:#018x}  {}\n", level, entry, entry_words(entry, false));
  }
  return text;
}

std::string mapping_words(const DumpedMapping& mapping) {
  return std::format("{:#x}-{:#x} {} {} {:#x}", mapping.first, mapping.last, mapping.kind,
                     mapping.access, mapping.offset);
}

// Where the address would have to be, said with what is there instead.
std::string neighbours(const Dump& dump) {
  for (const DumpedMapping& mapping : dump.mappings) {
    if (dump.address < mapping.first || dump.address > mapping.last) continue;
    return "  It is in a mapping: " + mapping_words(mapping) + "\n";
  }
  return "  No mapping of the driver has it.\n";
}

std::string job_words(const DumpedJob& job) {
  std::string text = std::format("job {} of {} (pid {})", job.seqno, job.process, job.pid);
  if (job.bytes) text += std::format(", {:#x} bytes of packets at {:#x}", job.bytes, job.commands);
  return text;
}

Json job_json(const DumpedJob& job) {
  return {{"seqno", job.seqno},       {"process", job.process}, {"pid", job.pid},
          {"commands", job.commands}, {"bytes", job.bytes},     {"begin", job.begin}};
}

}  // namespace

std::string describe(const Dump& dump) {
  const std::vector<Line> ring = guilty_packets(dump);
  const Line* here = where_it_was(dump, ring);
  const std::uint64_t nowhere = ~std::uint64_t{0};

  std::string text = std::format("The {} failed with {}: {}.\n", job_words(dump.job),
                                 errno_name(dump.error), reason(dump));
  text += std::format("Client {}, queue {}, address space {}, strategy {}, priority {}.\n",
                      dump.client, dump.queue, dump.asid, dump.strategy, dump.priority);
  text += std::format("Device {}, driver {}, kernel {}, time {}.\n", dump.device, dump.driver,
                      dump.kernel, dump.time);
  if (here)
    text += std::format("The device was at {:#x} of the ring: {}\n", here->at, here->packet.text);
  text += remarks(dump);

  text += "\nRegisters\n";
  for (const auto& [name, value] : dump.registers) {
    text += std::format("  {:<16} {:#x}{}\n", name, value, field_words(name, value));
  }
  for (const DumpedQueueRegisters& queue : dump.queues) {
    text += std::format("  queue {:<10} {}, {}, read {:#x}, write {:#x}", queue.queue,
                        queue_state_name(queue.state), engine_words(queue.engine), queue.read,
                        queue.write);
    if (queue.code != 0 || queue.address != 0) {
      text += std::format(", code {}, address {:#x}", code_name(queue.code), queue.address);
    }
    text += "\n";
  }

  text += std::format(
      "\nQueue {}: {} jobs have ended, {} of them with an error; {} was the last that "
      "was written, {} the last that has ended\n",
      dump.queue, dump.jobs, dump.errors, dump.seqno, dump.ended);
  for (const DumpedJob& job : dump.in_flight) {
    text += std::format("  {:#014x}  {}\n", job.begin, job_words(job));
  }

  text += std::format("\nRing, from the job on, to {:#x}\n", dump.write);
  text += packet_lines(dump, ring, here ? here->at : nowhere);
  for (const DumpedMemory& buffer : dump.buffers) {
    text += std::format("\nPackets at {:#x}, {:#x} bytes", buffer.address, buffer.size);
    if (!buffer.missing.empty()) {
      text += std::format(", of which {:#x} are here: {}", buffer.words.size() * 8, buffer.missing);
    }
    text += "\n" + packet_lines(dump, packets_of(buffer), nowhere);
  }

  if (has_address(dump)) {
    text += std::format("\nThe way to {:#x}\n", dump.walk_address) + walk_words(dump) +
            neighbours(dump);
  }
  text += std::format("\nMappings: {}\n", dump.mapping_count);
  for (std::size_t i = 0; i < std::min(dump.mappings.size(), kMappingsShown); ++i) {
    text += "  " + mapping_words(dump.mappings[i]) + "\n";
  }
  if (dump.mapping_count > kMappingsShown) {
    text += std::format("  and {} more\n", dump.mapping_count - kMappingsShown);
  }
  return text;
}

Json to_json(const Dump& dump) {
  const std::vector<Line> ring = guilty_packets(dump);
  const Line* here = where_it_was(dump, ring);
  Json json = {{"version", dump.version}, {"kernel", dump.kernel}, {"driver", dump.driver},
               {"device", dump.device},   {"time", dump.time},     {"complete", !dump.cut_at_line}};
  json["error"] = errno_name(dump.error);
  json["reason"] = reason(dump);
  json["code"] = code_name(dump.code);
  json["address"] = dump.address;
  json["client"] = dump.client;
  json["job"] = job_json(dump.job);
  json["at"] = here ? Json{{"at", here->at}, {"packet", here->packet.text}} : Json();
  for (const auto& [name, value] : dump.registers) json["registers"][name] = value;
  json["queues"] = Json::array();
  for (const DumpedQueueRegisters& queue : dump.queues) {
    json["queues"].push_back({{"queue", queue.queue},
                              {"state", queue_state_name(queue.state)},
                              {"code", code_name(queue.code)},
                              {"engine", queue.engine == 0xffffffff ? Json() : Json(queue.engine)},
                              {"address", queue.address},
                              {"read", queue.read},
                              {"write", queue.write},
                              {"desc", queue.desc}});
  }
  json["queue"] = {
      {"queue", dump.queue},       {"asid", dump.asid},     {"strategy", dump.strategy},
      {"priority", dump.priority}, {"seqno", dump.seqno},   {"ended", dump.ended},
      {"jobs", dump.jobs},         {"errors", dump.errors}, {"suspended", dump.suspended},
      {"saved", dump.saved},       {"write", dump.write}};
  json["in_flight"] = Json::array();
  for (const DumpedJob& job : dump.in_flight) json["in_flight"].push_back(job_json(job));
  json["ring"] = packets_json(ring);
  json["buffers"] = Json::array();
  for (const DumpedMemory& buffer : dump.buffers) {
    json["buffers"].push_back({{"address", buffer.address},
                               {"size", buffer.size},
                               {"missing", buffer.missing},
                               {"packets", packets_json(packets_of(buffer))}});
  }
  json["walk"] = {{"address", dump.walk_address}, {"root", dump.root}, {"entries", Json::array()}};
  for (const auto& [level, entry] : dump.entries) {
    json["walk"]["entries"].push_back({{"level", level}, {"entry", entry}});
  }
  json["mapping_count"] = dump.mapping_count;
  json["mappings"] = Json::array();
  for (const DumpedMapping& mapping : dump.mappings) {
    json["mappings"].push_back({{"first", mapping.first},
                                {"last", mapping.last},
                                {"kind", mapping.kind},
                                {"access", mapping.access},
                                {"offset", mapping.offset}});
  }
  return json;
}

std::string describe_packets(std::span<const std::uint64_t> words, std::uint64_t address) {
  Dump none;
  DumpedMemory memory{.address = address, .size = words.size() * 8, .missing = {}, .words = {}};
  memory.words.assign(words.begin(), words.end());
  return packet_lines(none, packets_of(memory), ~std::uint64_t{0});
}

}  // namespace figment::decode

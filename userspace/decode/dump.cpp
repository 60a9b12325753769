// SPDX-License-Identifier: MIT
#include "dump.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <format>
#include <functional>
#include <map>

namespace figment::decode {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kTitle = "Figment device coredump";
constexpr std::uint64_t kVersion = 1;
// Far more than a driver writes: what claims more is no dump.
constexpr std::uint64_t kDataMost = 16 << 20;

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  Number value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || at != end) return std::nullopt;
  return value;
}

// Lines with their numbers, from 1.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  std::size_t number() const { return number_; }
  std::string_view peek() const { return rest_.substr(0, rest_.find('\n')); }
  std::string_view next() {
    const std::string_view line = peek();
    // Without its line break a line has been cut.
    cut_ = line.size() == rest_.size();
    rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
    ++number_;
    return line;
  }
  bool was_cut() const { return cut_; }

  [[noreturn]] void fail(const std::string& what) const {
    throw DumpError(std::format("line {}: {}", number_, what));
  }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
  bool cut_ = false;
};

// Text from a dump, which may be from anywhere: harmless on a terminal, and not endless.
std::string harmless(std::string_view text, std::size_t most = 256) {
  std::string safe;
  for (const char c : text.substr(0, most)) safe += c >= ' ' && c < 127 ? c : '?';
  return safe;
}
std::string quoted(std::string_view text) {
  return "'" + harmless(text, 60) + (text.size() > 60 ? "...'" : "'");
}

// One section: lines "key: value", of which each says where it belongs. Unknown keys are of newer
// drivers, and passed over.
class Fields {
 public:
  using Take = std::function<void(std::string_view value)>;

  explicit Fields(const Lines& lines) : lines_(lines) {}

  Fields& number(const char* key, std::uint64_t& to) {
    takes_[key] = [this, &to](std::string_view value) { to = checked<std::uint64_t>(value); };
    return *this;
  }
  Fields& number(const char* key, std::int64_t& to) {
    takes_[key] = [this, &to](std::string_view value) { to = checked<std::int64_t>(value); };
    return *this;
  }
  Fields& flag(const char* key, bool& to) {
    takes_[key] = [this, &to](std::string_view value) { to = checked<std::uint64_t>(value) != 0; };
    return *this;
  }
  Fields& text(const char* key, std::string& to) {
    takes_[key] = [&to](std::string_view value) { to = harmless(value); };
    return *this;
  }
  Fields& other(std::function<void(std::string_view key, std::string_view value)> take) {
    other_ = std::move(take);
    return *this;
  }

  void take(std::string_view line) {
    const std::size_t colon = line.find(": ");
    if (colon == line.npos) lines_.fail(quoted(line) + " is not KEY: VALUE");
    const std::string key(line.substr(0, colon));
    const std::string_view value = line.substr(colon + 2);
    if (const auto found = takes_.find(key); found != takes_.end()) {
      found->second(value);
    } else if (other_) {
      other_(key, value);
    }
  }
  template <typename Number>
  Number checked(std::string_view value) const {
    const auto number = number_in<Number>(value);
    if (!number) lines_.fail(quoted(value) + " is not a number");
    return *number;
  }

 private:
  const Lines& lines_;
  std::map<std::string, Take, std::less<>> takes_;
  std::function<void(std::string_view key, std::string_view value)> other_;
};

class Reader {
 public:
  explicit Reader(std::string_view text) : lines_(text) {}

  Dump read() {
    if (lines_.at_end() || lines_.next() != kTitle) {
      lines_.fail(std::format("this is not a '{}'", kTitle));
    }
    Fields head(lines_);
    head.number("version", dump_.version)
        .text("kernel", dump_.kernel)
        .text("driver", dump_.driver)
        .text("device", dump_.device)
        .text("time", dump_.time);
    read_fields(head);
    if (dump_.version != kVersion) {
      lines_.fail(std::format("version {} of dumps is unknown", dump_.version));
    }
    while (!lines_.at_end()) {
      const std::string_view line = lines_.next();
      if (line.empty()) continue;
      if (line == "[end]" && !lines_.was_cut()) return std::move(dump_);
      if (lines_.was_cut()) break;
      if (!line.starts_with('[') || !line.ends_with(']')) {
        lines_.fail(quoted(line) + " is not [SECTION]");
      }
      read_section(line.substr(1, line.size() - 2));
    }
    dump_.cut_at_line = lines_.number();
    return std::move(dump_);
  }

 private:
  // The lines of a section, up to an empty one, to the next section, or to the end.
  void for_lines(const std::function<void(std::string_view)>& take) {
    while (!lines_.at_end() && !lines_.peek().empty() && !lines_.peek().starts_with("[")) {
      const std::string_view line = lines_.next();
      // What is cut may be half a number.
      if (!lines_.was_cut()) take(line);
    }
  }
  void read_fields(Fields& fields) {
    for_lines([&](std::string_view line) { fields.take(line); });
  }

  void read_section(std::string_view name) {
    if (name == "job") return read_guilty();
    if (name == "registers") return read_registers();
    if (name == "queue registers") return read_queue_registers();
    if (name == "queue") return read_queue();
    if (name == "job in flight") return read_job(dump_.in_flight.emplace_back());
    if (name == "descriptor") return read_memory(dump_.descriptor);
    if (name == "ring") return read_memory(dump_.ring);
    if (name == "buffer") return read_memory(dump_.buffers.emplace_back());
    if (name == "walk") return read_walk();
    if (name == "mappings") return read_mappings();
    // Of a newer driver; its lines may look like anything.
    while (!lines_.at_end() && !lines_.peek().empty()) lines_.next();
  }

  static Fields& add_job(Fields& fields, DumpedJob& job) {
    return fields.number("seqno", job.seqno)
        .number("begin", job.begin)
        .number("pid", job.pid)
        .text("process", job.process);
  }
  void take_commands(DumpedJob& job, std::string_view key, std::string_view value) {
    if (key != "commands") return;
    const std::size_t blank = value.find(' ');
    const auto at = number_in<std::uint64_t>(value.substr(0, blank));
    const auto bytes =
        blank == value.npos ? std::nullopt : number_in<std::uint64_t>(value.substr(blank + 1));
    if (!at || !bytes) lines_.fail(quoted(value) + " is not ADDRESS BYTES");
    job.commands = *at;
    job.bytes = *bytes;
  }
  void read_job(DumpedJob& job) {
    Fields fields(lines_);
    add_job(fields, job).other([&](auto key, auto value) { take_commands(job, key, value); });
    read_fields(fields);
  }
  void read_guilty() {
    Fields fields(lines_);
    add_job(fields, dump_.job)
        .number("error", dump_.error)
        .number("code", dump_.code)
        .number("address", dump_.address)
        .number("client", dump_.client)
        .number("queue", dump_.queue)
        .other([&](auto key, auto value) { take_commands(dump_.job, key, value); });
    read_fields(fields);
  }
  void read_registers() {
    Fields fields(lines_);
    fields.other([&](std::string_view key, std::string_view value) {
      dump_.registers.emplace_back(harmless(key), fields.checked<std::uint64_t>(value));
    });
    read_fields(fields);
  }
  void read_queue_registers() {
    DumpedQueueRegisters& queue = dump_.queues.emplace_back();
    Fields fields(lines_);
    fields.number("queue", queue.queue)
        .number("DESC", queue.desc)
        .number("STATE", queue.state)
        .number("CODE", queue.code)
        .number("ENGINE", queue.engine)
        .number("ADDRESS", queue.address)
        .number("READ", queue.read)
        .number("WRITE", queue.write);
    read_fields(fields);
  }
  void read_queue() {
    Fields fields(lines_);
    fields.number("asid", dump_.asid)
        .text("strategy", dump_.strategy)
        .number("priority", dump_.priority)
        .number("timeslice_ns", dump_.timeslice_ns)
        .flag("suspended", dump_.suspended)
        .flag("saved", dump_.saved)
        .number("seqno", dump_.seqno)
        .number("ended", dump_.ended)
        .number("jobs", dump_.jobs)
        .number("errors", dump_.errors)
        .number("write", dump_.write);
    read_fields(fields);
  }

  void read_memory(DumpedMemory& memory) {
    std::uint64_t bytes = 0;
    Fields fields(lines_);
    fields.number("address", memory.address)
        .number("size", memory.size)
        .number("bytes", bytes)
        .text("missing", memory.missing);
    while (!lines_.at_end() && !lines_.peek().empty()) {
      const std::string_view line = lines_.next();
      if (lines_.was_cut()) return;
      if (line == "data:") {
        read_data(memory, bytes);
        memory.size = std::max(memory.size, bytes);
        return;
      }
      fields.take(line);
    }
  }

  // ascii85, 32 bits at a time, in lines: "z" is a zero.
  void read_data(DumpedMemory& memory, std::uint64_t bytes) {
    if (bytes % sizeof(std::uint64_t) != 0 || bytes > kDataMost) {
      lines_.fail(std::format("{} bytes of data can not be", bytes));
    }
    std::vector<std::uint32_t> halves;
    while (!lines_.at_end() && !lines_.peek().empty()) {
      const std::string_view line = lines_.next();
      if (lines_.was_cut()) break;
      for (std::size_t i = 0; i < line.size();) {
        if (halves.size() * sizeof(std::uint32_t) >= bytes) lines_.fail("more data than announced");
        halves.push_back(line[i] == 'z' ? 0 : decoded(line.substr(i, 5)));
        i += line[i] == 'z' ? 1 : 5;
      }
    }
    const bool all = halves.size() * sizeof(std::uint32_t) == bytes;
    if (!all && !lines_.was_cut() && !lines_.at_end()) lines_.fail("less data than announced");
    memory.words.resize(halves.size() / 2);
    if (!memory.words.empty()) {
      std::memcpy(memory.words.data(), halves.data(), memory.words.size() * sizeof(std::uint64_t));
    }
  }
  std::uint32_t decoded(std::string_view digits) {
    std::uint64_t value = 0;
    for (const char c : digits) {
      if (c < '!' || c > 'u') lines_.fail("the data are not ascii85");
      value = value * 85 + static_cast<std::uint64_t>(c - '!');
    }
    if (digits.size() != 5 || value > UINT32_MAX) lines_.fail("the data are not ascii85");
    return static_cast<std::uint32_t>(value);
  }

  void read_walk() {
    Fields fields(lines_);
    fields.number("address", dump_.walk_address)
        .number("root", dump_.root)
        .other([&](std::string_view key, std::string_view value) {
          constexpr std::string_view kLevel = "level ";
          if (!key.starts_with(kLevel)) return;
          const auto level = fields.checked<std::uint64_t>(key.substr(kLevel.size()));
          if (level > 3) lines_.fail("there is no such level");
          dump_.entries.emplace_back(static_cast<unsigned>(level),
                                     fields.checked<std::uint64_t>(value));
        });
    read_fields(fields);
  }

  void read_mappings() {
    Fields fields(lines_);
    fields.number("count", dump_.mapping_count);
    for_lines([&](std::string_view line) {
      if (!line.starts_with("0x")) return fields.take(line);
      // FIRST-LAST KIND ACCESS OFFSET
      DumpedMapping& mapping = dump_.mappings.emplace_back();
      std::vector<std::string_view> words;
      for (std::string_view rest = line; !rest.empty() && words.size() < 5;) {
        const std::size_t blank = std::min(rest.find(' '), rest.size());
        words.push_back(rest.substr(0, blank));
        rest.remove_prefix(std::min(blank + 1, rest.size()));
      }
      const std::size_t dash = words[0].find('-');
      if (words.size() != 4 || dash == words[0].npos) {
        lines_.fail(quoted(line) + " is not FIRST-LAST KIND ACCESS OFFSET");
      }
      mapping.first = fields.checked<std::uint64_t>(words[0].substr(0, dash));
      mapping.last = fields.checked<std::uint64_t>(words[0].substr(dash + 1));
      mapping.kind = harmless(words[1]);
      mapping.access = harmless(words[2]);
      mapping.offset = fields.checked<std::uint64_t>(words[3]);
    });
  }

  Lines lines_;
  Dump dump_;
};

}  // namespace

const DumpedQueueRegisters* Dump::registers_of_queue() const {
  const auto found = std::ranges::find(queues, queue, &DumpedQueueRegisters::queue);
  return found == queues.end() ? nullptr : &*found;
}

Dump read_dump(std::string_view text) {
  return Reader(text).read();
}

}  // namespace figment::decode

// SPDX-License-Identifier: MIT
//
// A device coredump of the driver (kernel-driver/figment_coredump.c), read. The text comes from
// anywhere: whatever it is, it is read or refused, with the line that is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace figment::decode {

struct DumpError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct DumpedJob {
  std::uint64_t seqno = 0;
  std::uint64_t begin = 0;  // in the ring, free-running
  std::uint64_t commands = 0;
  std::uint64_t bytes = 0;  // of commands; 0: it has none
  std::uint64_t pid = 0;
  std::string process;
};

struct DumpedQueueRegisters {
  std::uint64_t queue = 0, desc = 0, state = 0, code = 0, engine = 0, address = 0, read = 0,
                write = 0;
};

struct DumpedMemory {
  std::uint64_t address = 0;
  std::uint64_t size = 0;  // that there is
  std::string missing;     // why there are fewer words than that
  std::vector<std::uint64_t> words;
};

struct DumpedMapping {
  std::uint64_t first = 0, last = 0, offset = 0;
  std::string kind, access;
};

struct Dump {
  std::uint64_t version = 0;
  std::string kernel, driver, device, time;

  std::int64_t error = 0;  // errno, negative
  std::uint64_t code = 0, address = 0, client = 0, queue = 0;
  DumpedJob job;

  std::vector<std::pair<std::string, std::uint64_t>> registers;
  std::vector<DumpedQueueRegisters> queues;

  // Of the queue, as the driver had it.
  std::uint64_t asid = 0, priority = 0, timeslice_ns = 0, seqno = 0, ended = 0, jobs = 0,
                errors = 0, write = 0;
  bool suspended = false, saved = false;
  std::string strategy;
  std::vector<DumpedJob> in_flight;
  DumpedMemory descriptor, ring;
  std::vector<DumpedMemory> buffers;

  std::uint64_t walk_address = 0, root = 0;
  std::vector<std::pair<unsigned, std::uint64_t>> entries;  // level and entry, from the root on
  std::uint64_t mapping_count = 0;
  std::vector<DumpedMapping> mappings;

  // Where it ends before its end, if it does: what came before is here.
  std::optional<std::size_t> cut_at_line;

  const DumpedQueueRegisters* registers_of_queue() const;
};

/// Throws DumpError: "line 7: ...".
[[nodiscard]] Dump read_dump(std::string_view text);

}  // namespace figment::decode

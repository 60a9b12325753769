// SPDX-License-Identifier: MIT
#include "reader.h"

#include <cstring>
#include <format>
#include <stdexcept>
#include <system_error>

#include "figment/command_list.h"
#include "missing.h"
#include "process.h"

namespace figment::stress {
namespace {

constexpr auto kStuck = std::chrono::seconds(120);

std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

Reader::Reader(const Device& device, Vm& vm, const Config& config)
    : config_(config),
      buffer_(
          device.buffer({.bytes = whole_pages(word_bytes()) +
                                  whole_pages(config.layout.pages * sizeof(figment_packet_copy))})),
      view_(buffer_.map()),
      queue_(vm.queue()) {
  vm.map({.at = config_.at, .buffer = buffer_});
  const oracle::Layout& layout = config_.layout;
  const std::uint64_t run = layout.run_words * sizeof(oracle::Word);
  CommandList list;
  for (std::uint32_t page = 0; page < layout.pages; ++page) {
    list.copy({.to = config_.at + page * run,
               .from = config_.range + layout.run(page, layout.cpu()) * sizeof(oracle::Word),
               .bytes = run});
  }
  list.write_to(view_.bytes().subspan(whole_pages(word_bytes())));
  list_bytes_ = list.bytes();
}

std::uint64_t Reader::word_bytes() const {
  return std::uint64_t{config_.layout.pages} * config_.layout.run_words * sizeof(oracle::Word);
}

bool Reader::begin() {
  try {
    queue_.submit({.at = config_.at + whole_pages(word_bytes()), .bytes = list_bytes_});
  } catch (const std::system_error& error) {
    if (!is_missing_memory(error.code().value())) throw;
    return false;
  }
  ++jobs_;
  running_ = true;
  return true;
}

std::optional<std::span<const oracle::Word>> Reader::finish() {
  if (!std::exchange(running_, false)) return std::nullopt;
  QueueState state;
  // The queue counts its jobs in every VM, and a wait for a fence would need another one for each
  // kind.
  const auto ended = [&] {
    state = queue_.query();
    return state.jobs >= jobs_;
  };
  if (!poll_until(ended, after(kStuck))) throw std::runtime_error("a job that reads never ended");
  if (std::exchange(errors_, state.errors) != state.errors) {
    if (is_missing_memory(state.last_error)) return std::nullopt;
    throw std::runtime_error(
        std::format("a job that reads failed: {}", std::strerror(state.last_error)));
  }
  return view_.as<oracle::Word>().first(word_bytes() / sizeof(oracle::Word));
}

}  // namespace figment::stress

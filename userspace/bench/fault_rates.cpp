// SPDX-License-Identifier: MIT
#include "fault_rates.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>

#include "fault_readers.h"
#include "figment/buffer.h"
#include "figment/error.h"
#include "module_parameter.h"

namespace figment::bench {
namespace {

constexpr const char* kAround = "fault_around_kib";

struct Contestant {
  FaultSeries series;
  std::unique_ptr<Reader> reader;
  /// Of the GPU: KiB around a fault that are looked at, if not the driver's own choice.
  std::optional<unsigned> around_kib = std::nullopt;
};

std::vector<Contestant> contestants(const Device& device, const FaultCase& what) {
  // Enough that the device always has somebody to serve.
  constexpr unsigned kManyQueues = 16;
  const std::uint64_t bytes = what.pages * what.page_bytes;
  std::vector<Contestant> all;
  const auto gpu = [&](std::string name, bool svm, unsigned queues,
                       std::optional<unsigned> around) {
    all.push_back(
        {.series = {.reader = std::move(name), .device = true},
         .reader = gpu_reader(device, {.strategy = Strategy::fault, .svm = svm}, queues, bytes),
         .around_kib = around});
  };
  const auto peer = [&](std::string name, auto make) {
    Contestant one{.series = {.reader = std::move(name)}, .reader = nullptr};
    one.reader = make(one.series.why_not);
    all.push_back(std::move(one));
  };
  gpu("userptr", false, 1, {});
  if (what.ask == Ask::each) gpu("userptr, 16 queues", false, kManyQueues, {});
  if (what.page_bytes == kPageBytes) gpu("userptr, nothing around", false, 1, 4);
  gpu("svm", true, 1, {});
  if (what.ask == Ask::each) gpu("svm, 16 queues", true, kManyQueues, {});
  peer("test_hmm", [&](std::string& why_not) { return test_hmm_reader(bytes, why_not); });
  // For these a page that is there has no entry that could be missing.
  if (what.missing == Missing::page) {
    peer("userfaultfd, copy", [&](std::string& why_not) {
      return userfaultfd_reader(Answer::copy, bytes, what.page_bytes, why_not);
    });
    peer("userfaultfd, zeropage", [&](std::string& why_not) {
      return userfaultfd_reader(Answer::zeropage, bytes, what.page_bytes, why_not);
    });
    peer("CPU", [&](std::string&) { return cpu_reader(bytes); });
  }
  return all;
}

constexpr std::uint64_t word_of(std::uint64_t page, unsigned turn) {
  return (page + 1) << 16 | turn;
}

// The kernel takes all entries away; the pages and what is in them stay.
void lose_entries(std::span<std::byte> memory) {
  for (const int protection : {PROT_READ, PROT_READ | PROT_WRITE}) {
    if (::mprotect(memory.data(), memory.size(), protection) != 0) fail(errno, "mprotect");
  }
}

// Before it reads: what is left from the last turn would pass for what it has to read now.
void poison(const Reader& reader) {
  std::memset(reader.copied().data(), 0xff, reader.copied().size());
}

// The first and the last word of each 4 KiB: a place was copied as a whole, or it was not.
void check(const Reader& reader, const FaultCase& what, unsigned turn, std::string_view name) {
  const std::uint64_t bytes = what.pages * what.page_bytes;
  for (std::uint64_t at = 0; at < bytes; at += kPageBytes) {
    const std::uint64_t page = at / what.page_bytes;
    std::array<std::uint64_t, 2> words;
    std::memcpy(&words[0], reader.copied().data() + at, sizeof(words[0]));
    std::memcpy(&words[1], reader.copied().data() + at + kPageBytes - 8, sizeof(words[1]));
    const std::uint64_t word = what.missing == Missing::page ? 0 : word_of(page, turn);
    if (words != std::array{word, word}) {
      throw std::runtime_error(
          std::format("{} has read {:#x} and {:#x} from page {}, which has {:#x}", name, words[0],
                      words[1], page, word));
    }
  }
}

void take_turn(Contestant& one, const FaultCase& what, std::span<const std::uint64_t> order,
               unsigned turn) {
  std::optional<ScopedModuleParameter> around;
  if (one.around_kib) around.emplace(kAround, std::to_string(*one.around_kib));
  const bool huge = what.page_bytes == kHugePageBytes;
  const Mapping memory = anonymous_memory(what.pages * what.page_bytes, kHugePageBytes);
  if (::madvise(memory.bytes().data(), memory.bytes().size(),
                huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0) {
    fail(errno, "madvise");
  }
  const Reading reading{.memory = memory.bytes(),
                        .page_bytes = what.page_bytes,
                        .order = order,
                        .at_once = what.ask == Ask::at_once};
  Reader& reader = *one.reader;
  reader.begin(memory.bytes());
  if (what.missing == Missing::entry) {
    for (std::uint64_t at = 0; at < memory.bytes().size(); at += kPageBytes) {
      for (const std::uint64_t word : {at, at + kPageBytes - 8}) {
        memory.as<std::uint64_t>()[word / 8] = word_of(at / what.page_bytes, turn);
      }
    }
    // Whoever keeps something for a range has it now: only the entries are missing.
    std::ignore = reader.read(reading);
    lose_entries(memory.bytes());
  }
  poison(reader);
  const double seconds = reader.read(reading);
  check(reader, what, turn, one.series.reader);
  one.series.pages_per_second.push_back(static_cast<double>(what.pages) / seconds);
  if (reader.faults()) one.series.faults.push_back(static_cast<double>(*reader.faults()));
  reader.end();
}

}  // namespace

std::string_view name_of(Missing missing) {
  return missing == Missing::page ? "page" : "entry";
}

std::string_view name_of(Ask ask) {
  return ask == Ask::each ? "each" : "at once";
}

std::vector<FaultCase> fault_cases(bool quick) {
  const std::uint64_t small = quick ? 256 : 2048, huge = quick ? 4 : 24;
  std::vector<FaultCase> cases;
  for (const Missing missing : {Missing::page, Missing::entry}) {
    for (const Ask ask : {Ask::each, Ask::at_once}) {
      cases.push_back({kPageBytes, small, missing, ask});
    }
    cases.push_back({kHugePageBytes, huge, missing, Ask::each});
  }
  return cases;
}

std::vector<FaultSeries> fault_rates(const Device& device, const FaultCase& what, unsigned turns) {
  std::vector<Contestant> all = contestants(device, what);
  std::vector<std::uint64_t> order(what.pages);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 random(what.pages);
  // The first turn warms up and is not counted.
  for (unsigned turn = 0; turn <= turns; ++turn) {
    std::ranges::shuffle(order, random);
    for (std::size_t n = 0; n < all.size(); ++n) {
      Contestant& one = all[(n + turn) % all.size()];
      if (one.reader) take_turn(one, what, order, turn);
    }
    if (turn == 0) {
      for (Contestant& one : all) one.series.pages_per_second.clear(), one.series.faults.clear();
    }
  }
  std::vector<FaultSeries> result;
  for (Contestant& one : all) result.push_back(std::move(one.series));
  return result;
}

}  // namespace figment::bench

// SPDX-License-Identifier: MIT
#include "compare_report.h"

#include <format>
#include <nlohmann/json.hpp>

namespace figment::stress {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kLine = "{:<8} {:<6} {:<19} {:<11} {:<7} {:>6} {:>6} {:>10} {:>9} {:>9}  {}";

template <typename... Cells>
std::string line(const Cells&... cells) {
  return std::vformat(kLine, std::make_format_args(cells...));
}

std::string_view access(const CompareUser& user) {
  return user.read_only() ? "reads" : "writes";
}

/// What happens to the pages, in a few words.
std::string situation(const CompareRowConfig& row) {
  if (row.comparison == Comparison::direct) {
    return std::format("{}, {} first", name_of(row.timing), name_of(row.first));
  }
  return std::format("bound by {} after {}", name_of(row.binding.binder), row.binding.forks);
}

template <typename Visit>
void each_sighting(const Sightings& sightings, Visit&& visit) {
  for (const Judgement judgement : {Judgement::lost, Judgement::leaked}) {
    for (std::size_t viewer = 0; viewer < kWhos; ++viewer) {
      for (std::size_t whose = 0; whose < kWhos; ++whose) {
        const auto count =
            sightings.count(static_cast<Who>(viewer), judgement, static_cast<Who>(whose));
        if (count) visit(static_cast<Who>(viewer), judgement, static_cast<Who>(whose), count);
      }
    }
  }
}

std::string_view name_of(Judgement judgement) {
  return judgement == Judgement::lost ? "lost" : "leaked";
}

Json sightings_of(const Sightings& sightings) {
  Json list = Json::array();
  each_sighting(sightings, [&](Who viewer, Judgement judgement, Who whose, std::uint64_t count) {
    list.push_back({{"viewer", name_of(viewer)},
                    {"whose", name_of(whose)},
                    {"judgement", name_of(judgement)},
                    {"words", count}});
  });
  return list;
}

Json to_json(const CompareResult& row) {
  const CompareRowConfig& config = row.config;
  const auto found = complaints(row);
  Json one = {{"comparison", name_of(config.comparison)},
              {"user", config.user.name()},
              {"gpu", config.user.is_gpu()},
              {"access", config.user.read_only() ? "read" : "write"},
              {"pages", config.pages.name}};
  if (config.comparison == Comparison::direct) {
    one["timing"] = name_of(config.timing);
    one["first"] = name_of(config.first);
  } else {
    one["binder"] = name_of(config.binding.binder);
    one["forks_before"] = config.binding.forks;
  }
  one.update({{"rounds", row.rounds},
              {"wrong_rounds", row.wrong_rounds},
              {"words", row.sightings.words()},
              {"lost_words", row.sightings.count(Judgement::lost)},
              {"leaked_words", row.sightings.count(Judgement::leaked)},
              {"saw", sightings_of(row.sightings)},
              {"kernel_reports", row.kernel_reports},
              {"seconds", row.seconds},
              {"skipped", nullptr},
              {"verdict", verdict(row)},
              {"complaints", found},
              {"right", found.empty()}});
  if (!row.skipped.empty()) one["skipped"] = row.skipped;
  return one;
}

}  // namespace

std::string compare_heading() {
  return line("compar-", "", "", "", "", "", "rounds", "words", "words", "words", "") + "\n" +
         line("ison", "pages", "when", "user", "", "rounds", "wrong", "checked", "lost", "leaked",
              "");
}

std::string compare_line(const CompareResult& row) {
  const CompareRowConfig& config = row.config;
  std::string end(verdict(row));
  if (!row.skipped.empty()) end += ": " + row.skipped;
  if (const auto saw = who_saw_whose(row.sightings); !saw.empty()) end += ": " + saw;
  return line(name_of(config.comparison), config.pages.name, situation(config), config.user.name(),
              access(config.user), row.rounds, row.wrong_rounds, row.sightings.words(),
              row.sightings.count(Judgement::lost), row.sightings.count(Judgement::leaked), end);
}

std::string who_saw_whose(const Sightings& sightings) {
  std::string text;
  each_sighting(sightings, [&](Who viewer, Judgement judgement, Who whose, std::uint64_t count) {
    text += std::format("{}{} saw {}'s ({} {})", text.empty() ? "" : ", ", name_of(viewer),
                        name_of(whose), count, name_of(judgement));
  });
  return text;
}

std::string compare_summary(std::span<const CompareResult> rows) {
  std::string text;
  for (const Comparison comparison : {Comparison::direct, Comparison::tree}) {
    for (const CompareUser& user : users_of(comparison)) {
      std::uint64_t rounds = 0;
      std::uint64_t wrong = 0;
      Sightings all;
      for (const CompareResult& row : rows) {
        const CompareUser& its = row.config.user;
        if (row.config.comparison != comparison || its.name() != user.name() ||
            its.access != user.access) {
          continue;
        }
        rounds += row.rounds;
        wrong += row.wrong_rounds;
        all.add(row.sightings);
      }
      if (rounds == 0) continue;
      text += std::format(
          "{:<6} {:<11} {:<6} wrong in {:>5} of {:>5} rounds, {:>8} of {:>9} words\n",
          name_of(comparison), user.name(), access(user), wrong, rounds, all.wrong(), all.words());
    }
  }
  return text;
}

std::string to_json(std::span<const CompareResult> rows, std::size_t planned,
                    const std::string& kernel) {
  Json list = Json::array();
  for (const auto& row : rows) list.push_back(to_json(row));
  return Json{{"version", 1}, {"kernel", kernel}, {"planned", planned}, {"rows", list}}.dump() +
         "\n";
}

}  // namespace figment::stress

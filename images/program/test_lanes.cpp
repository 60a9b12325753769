// SPDX-License-Identifier: MIT
#include "test_lanes.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "worker.h"

namespace figment::host {

namespace {

// What a test has printed may be no text at all; what is not UTF-8 is replaced.
std::string encode(const TestResult& result) {
  return nlohmann::json{{"name", result.name},
                        {"outcome", static_cast<int>(result.outcome)},
                        {"detail", result.detail},
                        {"milliseconds", result.milliseconds}}
      .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

TestResult decode(const std::string& line) {
  const auto json = nlohmann::json::parse(line);
  return {.name = json.at("name"),
          .outcome = static_cast<Outcome>(json.at("outcome").get<int>()),
          .detail = json.at("detail"),
          .milliseconds = json.at("milliseconds")};
}

using Lane = std::vector<const Selection*>;

void run_lane(const Lane& lane, const Report& report) {
  for (const Selection* selection : lane) selection->source.run(selection->names, report);
}

}  // namespace

void run_in_lanes(const std::vector<Selection>& selections, const Report& report) {
  Lane here, beside;
  for (const Selection& selection : selections) {
    (selection.source.leaves_a_processor() ? beside : here).push_back(&selection);
  }
  std::optional<Worker> worker;
  if (here.empty()) {
    std::swap(here, beside);
  } else if (!beside.empty()) {
    worker.emplace("test: a process that runs tests", [&beside](const SendLine& send) {
      run_lane(beside, [&send](const TestResult& result) { send(encode(result)); });
    });
  }
  const auto take_results = [&] {
    for (const std::string& line : worker->take()) report(decode(line));
  };
  run_lane(here, [&](const TestResult& result) {
    report(result);
    while (worker && worker->open() && wait_readable(worker->fd(), Clock::now())) take_results();
  });
  while (worker && worker->open()) {
    wait_readable(worker->fd(), Clock::time_point::max());
    take_results();
  }
}

}  // namespace figment::host

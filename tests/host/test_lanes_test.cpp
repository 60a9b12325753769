// SPDX-License-Identifier: MIT
#include "test_lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Does what it is told for each of its tests.
class Source : public TestSource {
 public:
  using Act = std::function<TestResult(const std::string&)>;
  Source(bool leaves_a_processor, Act act)
      : leaves_a_processor_(leaves_a_processor), act_(std::move(act)) {}

  std::vector<std::string> names() override { return {}; }
  void run(const std::vector<std::string>& selected, const Report& report) override {
    for (const std::string& name : selected) report(act_(name));
  }
  bool leaves_a_processor() const override { return leaves_a_processor_; }

 private:
  bool leaves_a_processor_;
  Act act_;
};

TestResult passed(const std::string& name) {
  return {.name = name, .outcome = Outcome::passed, .detail = {}, .milliseconds = 3};
}

std::vector<TestResult> results_of(const std::vector<Selection>& selections) {
  std::vector<TestResult> results;
  run_in_lanes(selections, [&results](const TestResult& result) { results.push_back(result); });
  return results;
}

TEST(TestLanes, report_each_test_of_both_exactly_once) {
  Source beside(true, [](const std::string& name) {
    // What a crashed program has printed.
    return TestResult{
        .name = name, .outcome = Outcome::failed, .detail = "a\nb \"\xff\"\n", .milliseconds = 7};
  });
  Source here(false, passed);
  const auto results = results_of({{beside, {"b.1"}}, {here, {"h.1", "h.2"}}});
  EXPECT_THAT(results, UnorderedElementsAre(passed("h.1"), passed("h.2"),
                                            TestResult{.name = "b.1",
                                                       .outcome = Outcome::failed,
                                                       .detail = "a\nb \"\ufffd\"\n",
                                                       .milliseconds = 7}));
}

TEST(TestLanes, run_side_by_side) {
  // Each waits for a byte of the other: one after the other, they would wait until the alarm.
  int to_here[2], to_beside[2];
  ASSERT_EQ(pipe(to_here), 0);
  ASSERT_EQ(pipe(to_beside), 0);
  const auto exchange = [](int out, int in) {
    char byte = 'x';
    return write(out, &byte, 1) == 1 &&
           wait_readable(in, Clock::now() + std::chrono::seconds(60)) && read(in, &byte, 1) == 1;
  };
  const auto met = [&](int out, int in) {
    return [&, out, in](const std::string& name) {
      TestResult result = passed(name);
      if (!exchange(out, in)) result.outcome = Outcome::failed;
      return result;
    };
  };
  Source beside(true, met(to_here[1], to_beside[0]));
  Source here(false, met(to_beside[1], to_here[0]));
  EXPECT_THAT(results_of({{here, {"h"}}, {beside, {"b"}}}),
              UnorderedElementsAre(passed("h"), passed("b")));
  for (const int fd : {to_here[0], to_here[1], to_beside[0], to_beside[1]}) close(fd);
}

TEST(TestLanes, of_one_kind_run_in_this_process) {
  const pid_t self = getpid();
  Source beside(true, [self](const std::string& name) {
    TestResult result = passed(name);
    if (getpid() != self) result.outcome = Outcome::failed;
    return result;
  });
  EXPECT_THAT(results_of({{beside, {"b"}}}), ElementsAre(passed("b")));
  EXPECT_THAT(results_of({}), IsEmpty());
}

TEST(TestLanes, are_no_success_when_one_breaks) {
  Source beside(true, [](const std::string&) -> TestResult { throw Failure("no disk"); });
  Source here(false, passed);
  try {
    results_of({{beside, {"b"}}, {here, {"h"}}});
    ADD_FAILURE() << "nobody has heard of it";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("did not end well"));
  }
}

}  // namespace
}  // namespace figment::host

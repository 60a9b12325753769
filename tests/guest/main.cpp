// SPDX-License-Identifier: MIT
//
// figment-guest-tests: the driver's uAPI, from user space, in a guest, as root. The
// kernel has a vote, too: a report in its log fails the test that was running. So it
// is for the tests of tests/mesa.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <system_error>

#include "kernel_log.h"
#include "module_parameter.h"

namespace {

class KernelVerdict : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    std::ignore = log_.take_reports();
    // Before every test: one that loads the module again has the default again.
    set_job_timeout("60000");
  }
  void OnTestEnd(const testing::TestInfo&) override {
    for (const auto& report : log_.take_reports()) ADD_FAILURE() << "kernel: " << report;
  }

  void OnTestProgramEnd(const testing::UnitTest&) override { set_job_timeout(job_timeout_); }

  static void set_job_timeout(std::string_view milliseconds) {
    try {
      figment::set_module_parameter("job_timeout_ms", milliseconds);
    } catch (const std::system_error&) {
      // Without the driver every test fails by itself, and says why.
    }
  }
  static std::string job_timeout() {
    try {
      return figment::module_parameter("job_timeout_ms");
    } catch (const std::system_error&) {
      return "2000";
    }
  }

  figment::KernelLog log_;
  const std::string job_timeout_ = job_timeout();
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!GTEST_FLAG_GET(list_tests)) {
    testing::UnitTest::GetInstance()->listeners().Append(new KernelVerdict);
  }
  return RUN_ALL_TESTS();
}

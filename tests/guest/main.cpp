// SPDX-License-Identifier: MIT
//
// figment-guest-tests: the driver's uAPI, from user space, in a guest, as root. The
// kernel has a vote, too: a report in its log fails the test that was running.
#include <gtest/gtest.h>

#include <memory>

#include "kernel_log.h"

namespace {

class KernelVerdict : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { std::ignore = log_.take_reports(); }
  void OnTestEnd(const testing::TestInfo&) override {
    for (const auto& report : log_.take_reports()) ADD_FAILURE() << "kernel: " << report;
  }

  figment::KernelLog log_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!GTEST_FLAG_GET(list_tests)) {
    testing::UnitTest::GetInstance()->listeners().Append(new KernelVerdict);
  }
  return RUN_ALL_TESTS();
}

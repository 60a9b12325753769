// SPDX-License-Identifier: MIT
#include "kernel_log.h"

#include <gtest/gtest.h>

namespace figment {
namespace {

TEST(KernelLog, knows_the_first_line_of_each_report) {
  EXPECT_TRUE(is_kernel_report("WARNING: CPU: 1 PID: 212 at mm/page_alloc.c:4720 foo+0x1/0x2"));
  EXPECT_TRUE(is_kernel_report("WARNING: possible circular locking dependency detected"));
  EXPECT_TRUE(is_kernel_report("BUG: KASAN: slab-use-after-free in figment_job_run+0x12/0x90"));
  EXPECT_TRUE(is_kernel_report("BUG: kernel NULL pointer dereference, address: 00000000"));
  EXPECT_TRUE(is_kernel_report("Oops: general protection fault, 0000 [#1] SMP"));
  EXPECT_TRUE(is_kernel_report("INFO: task figment-stress:99 blocked for more than 120 seconds."));
  EXPECT_TRUE(is_kernel_report("rcu: INFO: rcu_preempt self-detected stall on CPU"));
  EXPECT_TRUE(is_kernel_report("UBSAN: array-index-out-of-bounds in figment_vm.c:10:2"));
}

TEST(KernelLog, lets_ordinary_lines_pass) {
  EXPECT_FALSE(is_kernel_report("figment 0000:00:04.0: [drm] strategy unsafe taints the kernel"));
  EXPECT_FALSE(is_kernel_report("figment: loading out-of-tree module taints kernel."));
  EXPECT_FALSE(is_kernel_report("[drm] Initialized figment 1.0.0 for 0000:00:04.0 on minor 0"));
  EXPECT_FALSE(is_kernel_report("Debug: debugfs is on"));
  EXPECT_FALSE(
      is_kernel_report("traps: a.out[9] general protection fault ip:7f86 sp:7f86 error:0"));
  EXPECT_FALSE(is_kernel_report(""));
}

}  // namespace
}  // namespace figment

// SPDX-License-Identifier: MIT
//
// What boot images are made of: module order and the initramfs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary_folder.h"
#include "workshop.h"

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kDependencies =
    "kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz\n"
    "kernel/net/9p/9pnet.ko.xz:\n"
    "kernel/fs/netfs/netfs.ko.xz:\n"
    "kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz\n"
    "kernel/drivers/gpu/drm/scheduler/gpu-sched.ko.xz:\n";

TEST(LoadOrder, puts_what_is_needed_first_and_nothing_twice) {
  EXPECT_THAT(load_order(kDependencies, "", {"9p", "9pnet_virtio"}),
              ElementsAre("kernel/net/9p/9pnet.ko.xz", "kernel/fs/netfs/netfs.ko.xz",
                          "kernel/fs/9p/9p.ko.xz", "kernel/net/9p/9pnet_virtio.ko.xz"));
}

TEST(LoadOrder, dashes_and_underscores_are_the_same) {
  EXPECT_THAT(load_order(kDependencies, "", {"gpu_sched"}),
              ElementsAre("kernel/drivers/gpu/drm/scheduler/gpu-sched.ko.xz"));
}

TEST(LoadOrder, what_is_built_in_needs_no_file) {
  EXPECT_THAT(load_order("", "kernel/drivers/block/virtio_blk.ko\n", {"virtio_blk"}), IsEmpty());
}

TEST(LoadOrder, a_module_that_is_nowhere_is_an_error_with_its_name) {
  try {
    load_order(kDependencies, "", {"erofs"});
    FAIL() << "no exception";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), testing::HasSubstr("erofs"));
  }
}

// cpio itself is the judge of our archives.
TEST(CpioArchive, is_unpacked_by_cpio) {
  const TemporaryFolder folder;
  const std::string odd_size(1001, 'x');
  write_file(folder.path() / "archive",
             cpio_archive({{"init", "#!init", 0755}, {"modules/a/b.ko", odd_size}, {"modules/c", ""}}));
  const Output output =
      capture({"sh", "-c", "cpio -id --quiet < archive"}, {.directory = folder.path()}, true);
  EXPECT_EQ(output.status, 0) << output.text;
  EXPECT_EQ(read_file(folder.path() / "init"), "#!init");
  EXPECT_EQ(read_file(folder.path() / "modules/a/b.ko"), odd_size);
  EXPECT_EQ(read_file(folder.path() / "modules/c"), "");
  const auto mode = fs::status(folder.path() / "init").permissions();
  EXPECT_NE(mode & fs::perms::owner_exec, fs::perms::none);
}

}  // namespace
}  // namespace figment::host

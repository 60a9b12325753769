// SPDX-License-Identifier: MIT
#include "guest.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace figment::host {
namespace {

Guest small_guest() {
  return {.qemu = "/q/qemu",
          .firmware = {"/firmware"},
          .kernel = "/k/vmlinux",
          .initramfs = "/i/initramfs",
          .disks = {"/d/root.erofs", "/d/modules.erofs"},
          .model = "/m/model.so",
          .console = "/c/console.log",
          .agent_fd = 7};
}

// The words after each occurrence of `option`.
std::vector<std::string> values(const std::vector<std::string>& argv, const std::string& option) {
  std::vector<std::string> found;
  for (std::size_t i = 0; i + 1 < argv.size(); ++i) {
    if (argv[i] == option) found.push_back(argv[i + 1]);
  }
  return found;
}

bool any_contains(const std::vector<std::string>& words, const std::string& part) {
  return std::ranges::any_of(words, [&](const auto& word) { return word.contains(part); });
}

TEST(QemuArgv, begins_with_the_program) { EXPECT_EQ(qemu_argv(small_guest()).front(), "/q/qemu"); }

TEST(QemuArgv, a_panic_ends_qemu) {
  const auto argv = qemu_argv(small_guest());
  EXPECT_NE(std::ranges::find(argv, "-no-reboot"), argv.end());
  ASSERT_EQ(values(argv, "-append").size(), 1u);
  EXPECT_TRUE(values(argv, "-append")[0].contains("panic=-1"));
}

TEST(QemuArgv, emulates_unless_told_otherwise) {
  Guest guest = small_guest();
  EXPECT_EQ(values(qemu_argv(guest), "-accel"), (std::vector<std::string>{"tcg,thread=multi"}));
  guest.kvm = true;
  EXPECT_EQ(values(qemu_argv(guest), "-accel"), (std::vector<std::string>{"kvm"}));
  EXPECT_EQ(values(qemu_argv(guest), "-cpu"), (std::vector<std::string>{"host"}));
}

TEST(QemuArgv, has_one_device_per_gpu_with_all_properties) {
  Guest guest = small_guest();
  guest.gpus = 2;
  guest.gpu = {{"engines", "4"}, {"executor", "clock"}};
  const std::string properties =
      ",model=/m/model.so,preempt=instruction,faults=on,inject=on,engines=4,executor=clock";
  const auto devices = values(qemu_argv(guest), "-device");
  EXPECT_EQ(std::ranges::count(devices, "figment,id=gpu0" + properties), 1);
  EXPECT_EQ(std::ranges::count(devices, "figment,id=gpu1" + properties), 1);
}

TEST(QemuArgv, a_machine_waits_when_its_gpu_is_to_misbehave_from_the_start) {
  Guest guest = small_guest();
  guest.monitor_fd = 9;
  EXPECT_FALSE(std::ranges::contains(qemu_argv(guest), "-S"));
  EXPECT_TRUE(
      any_contains(values(qemu_argv(guest), "-chardev"), "id=monitor,server=on,wait=off,fd=9"));
  EXPECT_TRUE(any_contains(values(qemu_argv(guest), "-mon"), "mode=control"));
  guest.inject = {{.gpu = 0, .rule = "hang"}};
  EXPECT_TRUE(std::ranges::contains(qemu_argv(guest), "-S"));
}

TEST(QemuArgv, a_model_that_was_asked_for_replaces_ours) {
  Guest guest = small_guest();
  guest.gpu = {{"model", "/other.so"}};
  const auto devices = values(qemu_argv(guest), "-device");
  EXPECT_TRUE(any_contains(devices, "model=/other.so"));
  EXPECT_FALSE(any_contains(devices, "/m/model.so"));
}

TEST(QemuArgv, a_gpu_that_can_less_can_be_asked_for) {
  Guest guest = small_guest();
  guest.gpu = {{"preempt", "none"}, {"faults", "off"}};
  const auto devices = values(qemu_argv(guest), "-device");
  EXPECT_TRUE(std::ranges::contains(
      devices, "figment,id=gpu0,model=/m/model.so,inject=on,preempt=none,faults=off"));
}

TEST(QemuArgv, an_iommu_comes_before_what_is_behind_it) {
  Guest guest = small_guest();
  EXPECT_FALSE(any_contains(values(qemu_argv(guest), "-device"), "intel-iommu"));
  guest.iommu = true;
  const auto devices = values(qemu_argv(guest), "-device");
  const auto place = [&](std::string_view name) {
    return std::ranges::find_if(devices, [&](const auto& one) { return one.starts_with(name); });
  };
  EXPECT_LT(place("intel-iommu"), place("figment"));
  EXPECT_TRUE(any_contains(values(qemu_argv(guest), "-append"), "iommu.strict=1"));
  EXPECT_EQ(values(qemu_argv(guest), "-accel"), (std::vector<std::string>{"tcg,thread=single"}));
}

TEST(QemuArgv, memory_nodes_share_memory_and_one_has_the_processors) {
  Guest guest = small_guest();
  EXPECT_TRUE(values(qemu_argv(guest), "-numa").empty());
  guest.nodes = 2;
  guest.cpus = 3;
  guest.memory_mib = 1025;
  EXPECT_EQ(values(qemu_argv(guest), "-numa"),
            (std::vector<std::string>{"node,nodeid=0,memdev=node0,cpus=0-2",
                                      "node,nodeid=1,memdev=node1"}));
  EXPECT_EQ(values(qemu_argv(guest), "-object"),
            (std::vector<std::string>{"memory-backend-ram,id=node0,size=513M",
                                      "memory-backend-ram,id=node1,size=512M"}));
}

TEST(QemuArgv, without_gpus_there_is_none) {
  Guest guest = small_guest();
  guest.gpus = 0;
  EXPECT_FALSE(any_contains(values(qemu_argv(guest), "-device"), "figment,"));
}

TEST(QemuArgv, commas_in_paths_are_doubled) {
  Guest guest = small_guest();
  guest.console = "/a,b";
  guest.disks = {"/c,d"};
  guest.shares = {{.folder = "/e,f", .mount = "/g", .writable = true}};
  const auto argv = qemu_argv(guest);
  EXPECT_TRUE(any_contains(argv, "path=/a,,b"));
  EXPECT_TRUE(any_contains(argv, "file=/c,,d"));
  EXPECT_TRUE(any_contains(argv, "path=/e,,f"));
}

TEST(QemuArgv, disks_are_read_only_and_in_order) {
  const auto drives = values(qemu_argv(small_guest()), "-drive");
  ASSERT_EQ(drives.size(), 2u);
  EXPECT_TRUE(drives[0].contains("file=/d/root.erofs"));
  EXPECT_TRUE(drives[1].contains("file=/d/modules.erofs"));
  for (const auto& drive : drives) EXPECT_TRUE(drive.contains("readonly=on"));
}

TEST(QemuArgv, only_writable_shares_can_be_written) {
  Guest guest = small_guest();
  guest.shares = {{.folder = "/a", .mount = "/a", .writable = true},
                  {.folder = "/b", .mount = "/b", .writable = false}};
  const auto shares = values(qemu_argv(guest), "-fsdev");
  ASSERT_EQ(shares.size(), 2u);
  EXPECT_FALSE(shares[0].contains("readonly"));
  EXPECT_TRUE(shares[1].contains("readonly=on"));
}

TEST(QemuArgv, the_null_disk_is_there_only_when_asked_for) {
  Guest guest = small_guest();
  EXPECT_FALSE(any_contains(qemu_argv(guest), "nvme"));
  guest.null_nvme = true;
  EXPECT_TRUE(any_contains(values(qemu_argv(guest), "-device"), "nvme,drive=null"));
  EXPECT_TRUE(any_contains(values(qemu_argv(guest), "-drive"), "driver=null-co"));
}

TEST(QemuArgv, what_is_appended_ends_the_kernel_command_line) {
  Guest guest = small_guest();
  guest.append = "slub_debug=FZP nokaslr";
  EXPECT_TRUE(values(qemu_argv(guest), "-append")[0].ends_with(" slub_debug=FZP nokaslr"));
}

// --- deterministic machines ---

Guest deterministic_guest() {
  Guest guest = small_guest();
  guest.shares = {{.folder = "/e", .mount = "/e", .writable = true}};
  guest.deterministic = Deterministic{.seed = 7,
                                      .images = {{.file = "/o/orders"}, {.file = "/o/root"}}};
  return guest;
}

TEST(QemuArgv, of_a_deterministic_machine_has_nothing_that_comes_from_outside) {
  const auto argv = qemu_argv(deterministic_guest());
  EXPECT_FALSE(any_contains(argv, "virtio"));
  EXPECT_FALSE(any_contains(argv, "9p"));
  EXPECT_FALSE(any_contains(argv, "mode=control"));
  EXPECT_TRUE(any_contains(values(argv, "-icount"), "sleep=off"));
  EXPECT_TRUE(any_contains(values(argv, "-rtc"), "clock=vm"));
  EXPECT_EQ(values(argv, "-seed"), (std::vector<std::string>{"7"}));
  EXPECT_EQ(values(argv, "-accel"), (std::vector<std::string>{"tcg,thread=single,tb-size=512"}));
  EXPECT_TRUE(any_contains(values(argv, "-device"), "figment-conductor,id=conductor,seed=7"));
  EXPECT_TRUE(any_contains(values(argv, "-append"), "figment.images=2"));
}

TEST(QemuArgv, a_deterministic_machine_waits_for_its_rules) {
  Guest guest = deterministic_guest();
  EXPECT_FALSE(std::ranges::contains(qemu_argv(guest), "-S"));
  guest.inject = {{.gpu = 0, .rule = "hang"}};
  guest.deterministic->monitor_fd = 9;
  EXPECT_TRUE(std::ranges::contains(qemu_argv(guest), "-S"));
  EXPECT_TRUE(any_contains(values(qemu_argv(guest), "-chardev"), "id=monitor,fd=9"));
}

TEST(QemuArgv, images_are_read_only_nvdimms_in_order) {
  const auto objects = values(qemu_argv(deterministic_guest()), "-object");
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_TRUE(objects[0].contains("mem-path=/o/orders"));
  EXPECT_TRUE(objects[1].contains("mem-path=/o/root"));
  for (const auto& object : objects) EXPECT_TRUE(object.contains("readonly=on"));
}

TEST(QemuArgv, a_saved_machine_writes_its_memory_and_a_restored_one_does_not) {
  Guest guest = deterministic_guest();
  guest.deterministic->memory = "/m/memory";
  guest.deterministic->save = true;
  guest.deterministic->monitor_fd = 9;
  const auto save = qemu_argv(guest);
  EXPECT_TRUE(any_contains(values(save, "-object"), "mem-path=/m/memory,size=2048M,share=on"));
  EXPECT_TRUE(any_contains(values(save, "-device"), "pause-at-mark=on"));
  EXPECT_TRUE(any_contains(values(save, "-chardev"), "fd=9"));
  guest.deterministic->save = false;
  guest.deterministic->monitor_fd = -1;
  guest.deterministic->state = "/m/state";
  const auto restore = qemu_argv(guest);
  EXPECT_TRUE(any_contains(values(restore, "-object"), "share=off,readonly=on,rom=off"));
  EXPECT_EQ(values(restore, "-incoming"), (std::vector<std::string>{"defer"}));
  EXPECT_FALSE(any_contains(restore, "pause-at-mark"));
}

TEST(QemuArgv, each_gpu_has_a_trace_of_its_own) {
  Guest guest = small_guest();
  guest.gpus = 2;
  guest.trace = "/t/trace";
  const auto devices = values(qemu_argv(guest), "-device");
  EXPECT_TRUE(std::ranges::any_of(devices, [](const auto& d) { return d.ends_with("trace=/t/trace"); }));
  EXPECT_TRUE(any_contains(devices, "trace=/t/trace.1"));
}

}  // namespace
}  // namespace figment::host

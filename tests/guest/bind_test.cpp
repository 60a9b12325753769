// SPDX-License-Identifier: MIT
//
// VM_BIND with buffers, judged by what the GPU can reach afterwards.
#include <vector>

#include "guest.h"

namespace figment::guest {
namespace {

/// A buffer of some pages at kData, whose page n begins with the word n + 1.
class Pages {
 public:
  Pages(Gpu& gpu, std::uint64_t count, Placement placement = Placement::system,
        std::uint64_t first = 1)
      : buffer(gpu.device.buffer({.bytes = count * kPageBytes, .placement = placement})),
        view(buffer.map()) {
    for (std::uint64_t n = 0; n < count; ++n) word(n) = first + n;
  }

  std::uint64_t& word(std::uint64_t page) const {
    return view.as<std::uint64_t>()[page * kPageBytes / sizeof(std::uint64_t)];
  }

  Buffer buffer;
  Mapping view;
};

constexpr GpuVa page(std::uint64_t n) {
  return kData + n * kPageBytes;
}

class Bind : public GpuTest {
 protected:
  void expect_mapped(GpuVa at, std::uint64_t value) {
    const int error = gpu_.try_load(at);
    EXPECT_DONE(error) << std::format("{:#x}", at.value);
    if (error) return;
    EXPECT_EQ(gpu_.load(at), value) << std::format("{:#x}", at.value);
  }
  void expect_unmapped(GpuVa at) {
    EXPECT_ERRNO(gpu_.try_load(at), EFAULT) << std::format("{:#x}", at.value);
  }
};

TEST_F(Bind, reaches_a_page_only_while_it_is_mapped) {
  const Pages pages(gpu_, 1);
  expect_unmapped(page(0));
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer});
  expect_mapped(page(0), 1);
  gpu_.vm.unmap({.at = page(0), .bytes = kPageBytes});
  expect_unmapped(page(0));
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer});
  expect_mapped(page(0), 1);
}

TEST_F(Bind, maps_from_an_offset_of_the_buffer) {
  const Pages pages(gpu_, 8);
  gpu_.vm.map(
      {.at = page(0), .buffer = pages.buffer, .offset = 3 * kPageBytes, .bytes = 2 * kPageBytes});
  expect_mapped(page(0), 4);
  expect_mapped(page(1), 5);
  expect_unmapped(page(2));
}

TEST_F(Bind, over_a_mapping_replaces_it) {
  const Pages old(gpu_, 2, Placement::system, 10);
  const Pages now(gpu_, 2, Placement::vram, 20);
  gpu_.vm.map({.at = page(0), .buffer = old.buffer});
  expect_mapped(page(1), 11);
  gpu_.vm.map({.at = page(0), .buffer = now.buffer});
  expect_mapped(page(0), 20);
  expect_mapped(page(1), 21);
  EXPECT_DONE(gpu_.store(page(0), 99));
  EXPECT_EQ(old.word(0), 10u);
  EXPECT_EQ(now.word(0), 99u);
}

struct Hole {
  const char* where;
  std::uint64_t first;
  std::uint64_t count;
};
void PrintTo(const Hole& param, std::ostream* out) {
  *out << param.where;
}

class UnmapOf : public Bind, public testing::WithParamInterface<Hole> {};

INSTANTIATE_TEST_SUITE_P(ranges, UnmapOf,
                         testing::Values(Hole{"head", 0, 3}, Hole{"middle", 3, 2},
                                         Hole{"tail", 6, 2}, Hole{"one_page", 4, 1},
                                         Hole{"all", 0, 8}),
                         [](const auto& info) { return info.param.where; });

TEST_P(UnmapOf, leaves_the_rest_where_it_was) {
  const Pages pages(gpu_, 8);
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer});
  const auto [where, first, count] = GetParam();
  gpu_.vm.unmap({.at = page(first), .bytes = count * kPageBytes});
  for (std::uint64_t n = 0; n < 8; ++n) {
    if (n >= first && n < first + count) {
      expect_unmapped(page(n));
    } else {
      expect_mapped(page(n), n + 1);
    }
  }
  // The hole can be filled, and the mapping taken away as a whole.
  gpu_.vm.map(
      {.at = page(first), .buffer = pages.buffer, .offset = 0, .bytes = count * kPageBytes});
  expect_mapped(page(first), 1);
  gpu_.vm.unmap({.at = page(0), .bytes = 8 * kPageBytes});
  for (std::uint64_t n = 0; n < 8; ++n) expect_unmapped(page(n));
}

TEST_P(UnmapOf, is_the_same_as_a_mapping_over_it) {
  const Pages pages(gpu_, 8);
  const Pages over(gpu_, 8, Placement::vram, 100);
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer});
  const auto [where, first, count] = GetParam();
  gpu_.vm.map({.at = page(first), .buffer = over.buffer, .offset = 0, .bytes = count * kPageBytes});
  for (std::uint64_t n = 0; n < 8; ++n) {
    const bool covered = n >= first && n < first + count;
    expect_mapped(page(n), covered ? 100 + n - first : n + 1);
  }
}

TEST_F(Bind, unmapping_holes_is_fine) {
  const Pages pages(gpu_, 1);
  gpu_.vm.unmap({.at = page(0), .bytes = 64_MiB});
  gpu_.vm.map({.at = page(7), .buffer = pages.buffer});
  gpu_.vm.map({.at = page(2000), .buffer = pages.buffer});
  gpu_.vm.unmap({.at = page(0), .bytes = 64_MiB});
  expect_unmapped(page(7));
  expect_unmapped(page(2000));
}

TEST_F(Bind, read_only_mapping_can_be_read_and_not_written) {
  const Pages pages(gpu_, 1);
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer, .access = Access::read_only});
  expect_mapped(page(0), 1);
  EXPECT_ERRNO(gpu_.store(page(0), 2), EFAULT);
  EXPECT_EQ(pages.word(0), 1u);
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer});
  EXPECT_DONE(gpu_.store(page(0), 3));
  EXPECT_EQ(pages.word(0), 3u);
}

TEST_F(Bind, array_is_done_in_order) {
  const Pages pages(gpu_, 4);
  gpu_.vm.bind({.ops = {Map{.at = page(0), .buffer = pages.buffer},
                        Unmap{.at = page(0), .bytes = 3 * kPageBytes},
                        Map{.at = page(1), .buffer = pages.buffer, .bytes = kPageBytes},
                        Unmap{.at = page(9), .bytes = kPageBytes}}});
  expect_unmapped(page(0));
  expect_mapped(page(1), 1);
  expect_unmapped(page(2));
  expect_mapped(page(3), 4);
}

TEST_F(Bind, takes_long_arrays) {
  constexpr std::uint64_t kCount = 1000;
  const Pages pages(gpu_, kCount);
  std::vector<BindOp> ops;
  for (std::uint64_t n = 0; n < kCount; ++n) {
    // Every other page, from the end of the buffer to its beginning: nothing merges.
    ops.push_back(Map{.at = page(2 * n),
                      .buffer = pages.buffer,
                      .offset = (kCount - 1 - n) * kPageBytes,
                      .bytes = kPageBytes});
  }
  gpu_.vm.bind({.ops = ops});
  for (const std::uint64_t n : {0u, 1u, 511u, 512u, 999u}) {
    expect_mapped(page(2 * n), kCount - n);
    expect_unmapped(page(2 * n + 1));
  }
}

TEST_F(Bind, same_buffer_may_be_mapped_twice) {
  const Pages pages(gpu_, 1);
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer});
  gpu_.vm.map({.at = page(5), .buffer = pages.buffer});
  EXPECT_DONE(gpu_.store(page(0), 77));
  expect_mapped(page(5), 77);
}

TEST_F(Bind, reaches_both_ends_of_the_address_space) {
  const Pages pages(gpu_, 1);
  const auto& info = gpu_.device.info();
  const GpuVa first{info.va_start};
  const GpuVa last{info.va_end - kPageBytes};
  gpu_.vm.map({.at = first, .buffer = pages.buffer});
  gpu_.vm.map({.at = last, .buffer = pages.buffer});
  expect_mapped(first, 1);
  expect_mapped(last, 1);
  gpu_.vm.unmap({.at = first, .bytes = kPageBytes});
  gpu_.vm.unmap({.at = last, .bytes = kPageBytes});
  expect_unmapped(first);
  expect_unmapped(last);
}

class HugeBind : public Bind, public testing::WithParamInterface<Placement> {};

INSTANTIATE_TEST_SUITE_P(placements, HugeBind, testing::Values(Placement::system, Placement::vram),
                         [](const auto& info) {
                           return info.param == Placement::vram ? "vram" : "system";
                         });

TEST_P(HugeBind, two_megabytes_can_be_mapped_split_and_mapped_again) {
  constexpr std::uint64_t kPages = 3 * kHugePageBytes / kPageBytes;
  static_assert(kData.value % kHugePageBytes == 0);
  const Pages pages(gpu_, kPages, GetParam());
  gpu_.vm.map({.at = kData, .buffer = pages.buffer});
  for (const std::uint64_t n : {0u, 511u, 512u, 1000u, 1535u}) expect_mapped(page(n), n + 1);
  // One small page out of the middle of the second huge one.
  gpu_.vm.unmap({.at = page(700), .bytes = kPageBytes});
  expect_unmapped(page(700));
  for (const std::uint64_t n : {511u, 512u, 699u, 701u, 1023u, 1024u}) {
    expect_mapped(page(n), n + 1);
  }
  EXPECT_DONE(gpu_.store(page(701), 4711));
  EXPECT_EQ(pages.word(701), 4711u);
  gpu_.vm.map({.at = kData, .buffer = pages.buffer});
  expect_mapped(page(700), 701);
  gpu_.vm.unmap({.at = kData, .bytes = kPages * kPageBytes});
  for (const std::uint64_t n : {0u, 700u, 1535u}) expect_unmapped(page(n));
}

TEST_F(Bind, does_not_touch_jobs_of_other_addresses) {
  const Pages pages(gpu_, 1);
  Queue other = gpu_.vm.queue();
  const Fence gate = gpu_.close_gate(other);
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer});
  expect_mapped(page(0), 1);
  gpu_.vm.unmap({.at = page(0), .bytes = kPageBytes});
  expect_unmapped(page(0));
  gpu_.open_gate();
  EXPECT_DONE(outcome(gate));
}

// What VM_BIND refuses. Each is tried on a VM with one mapping, which must still be
// there afterwards.
struct BadBind {
  const char* what;
  int error;
  std::function<void(drm_figment_bind_op&, const Device&)> spoil;
};
void PrintTo(const BadBind& param, std::ostream* out) {
  *out << param.what;
}

class BadBindOf : public Bind, public testing::WithParamInterface<BadBind> {};

TEST_P(BadBindOf, is_refused_and_changes_nothing) {
  const Pages pages(gpu_, 4);
  gpu_.vm.map({.at = page(0), .buffer = pages.buffer});
  const Pages other(gpu_, 4, Placement::system, 50);
  drm_figment_bind_op op = {.kind = DRM_FIGMENT_BIND_MAP,
                            .handle = other.buffer.handle(),
                            .address = page(0).value,
                            .size = 4 * kPageBytes};
  GetParam().spoil(op, gpu_.device);
  drm_figment_vm_bind request = {.vm_id = gpu_.vm.id(), .ops = array_of(op)};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND, request), GetParam().error);
  for (std::uint64_t n = 0; n < 4; ++n) expect_mapped(page(n), n + 1);
}

using Op = drm_figment_bind_op;

INSTANTIATE_TEST_SUITE_P(
    requests, BadBindOf,
    testing::Values(
        BadBind{"unknown_kind", EINVAL, [](Op& op, auto&) { op.kind = 99; }},
        BadBind{"unknown_flag", EINVAL, [](Op& op, auto&) { op.flags = 1u << 31; }},
        BadBind{"pad", EINVAL, [](Op& op, auto&) { op.pad = 1; }},
        BadBind{"no_bytes", EINVAL, [](Op& op, auto&) { op.size = 0; }},
        BadBind{"part_of_a_page", EINVAL, [](Op& op, auto&) { op.size = 100; }},
        BadBind{"odd_address", EINVAL, [](Op& op, auto&) { op.address += 8; }},
        BadBind{"odd_offset", EINVAL,
                [](Op& op, auto&) {
                  op.offset = 8;
                  op.size = kPageBytes;
                }},
        BadBind{"past_the_buffer", EINVAL, [](Op& op, auto&) { op.size += kPageBytes; }},
        BadBind{"offset_past_the_buffer", EINVAL, [](Op& op, auto&) { op.offset = 16_MiB; }},
        BadBind{"offset_that_wraps", EINVAL, [](Op& op, auto&) { op.offset = -kPageBytes; }},
        BadBind{"address_that_wraps", EINVAL, [](Op& op, auto&) { op.address = -kPageBytes; }},
        BadBind{"size_that_wraps", EINVAL, [](Op& op, auto&) { op.size = -kPageBytes; }},
        BadBind{
            "past_the_last_address", EINVAL,
            [](Op& op, const Device& device) { op.address = device.info().va_end - kPageBytes; }},
        BadBind{
            "before_the_first_address", EINVAL,
            [](Op& op, const Device& device) { op.address = device.info().va_start - kPageBytes; }},
        BadBind{"unknown_buffer", ENOENT, [](Op& op, auto&) { op.handle = 12345; }},
        BadBind{"no_buffer", ENOENT, [](Op& op, auto&) { op.handle = 0; }},
        BadBind{"unmap_with_buffer", EINVAL,
                [](Op& op, auto&) { op.kind = DRM_FIGMENT_BIND_UNMAP; }},
        BadBind{"unmap_with_flag", EINVAL,
                [](Op& op, auto&) {
                  op.kind = DRM_FIGMENT_BIND_UNMAP;
                  op.handle = 0;
                  op.flags = DRM_FIGMENT_BIND_READONLY;
                }},
        BadBind{"unmap_with_offset", EINVAL,
                [](Op& op, auto&) {
                  op.kind = DRM_FIGMENT_BIND_UNMAP;
                  op.handle = 0;
                  op.offset = kPageBytes;
                }},
        BadBind{
            "unmap_of_no_bytes", EINVAL,
            [](Op& op, auto&) { op = {.kind = DRM_FIGMENT_BIND_UNMAP, .address = op.address}; }},
        BadBind{"unmap_that_wraps", EINVAL,
                [](Op& op, auto&) {
                  op = {.kind = DRM_FIGMENT_BIND_UNMAP, .address = op.address, .size = -kPageBytes};
                }},
        BadBind{"userptr_with_buffer", EINVAL,
                [](Op& op, auto&) { op.kind = DRM_FIGMENT_BIND_MAP_USERPTR; }}),
    [](const auto& info) { return info.param.what; });

TEST_F(Bind, in_an_unknown_vm_is_refused) {
  const drm_figment_bind_op op = {
      .kind = DRM_FIGMENT_BIND_UNMAP, .address = page(0).value, .size = kPageBytes};
  drm_figment_vm_bind request = {.vm_id = 12345, .ops = array_of(op)};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND, request), ENOENT);
}

TEST_F(Bind, of_a_buffer_of_another_file_is_refused) {
  const Device other = Device::open();
  std::vector<Buffer> buffers;
  // Handles count from 1: one that this file cannot have as well.
  for (int n = 0; n < 50; ++n) buffers.push_back(other.buffer({}));
  const drm_figment_bind_op op = {.kind = DRM_FIGMENT_BIND_MAP,
                                  .handle = buffers.back().handle(),
                                  .address = page(0).value,
                                  .size = kPageBytes};
  drm_figment_vm_bind request = {.vm_id = gpu_.vm.id(), .ops = array_of(op)};
  EXPECT_ERRNO(raw(gpu_.device.fd(), DRM_IOCTL_FIGMENT_VM_BIND, request), ENOENT);
}

}  // namespace
}  // namespace figment::guest

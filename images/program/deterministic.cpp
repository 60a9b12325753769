// SPDX-License-Identifier: MIT
#include "deterministic.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <random>

namespace figment::host {

namespace {

// An nvdimm's unit.
constexpr std::uint64_t kImageUnit = 2 << 20;

std::uint64_t rounded_up(std::uint64_t bytes) {
  return std::max<std::uint64_t>(1, (bytes + kImageUnit - 1) / kImageUnit) * kImageUnit;
}

// The generator is the standard's to the last bit; its distributions are not, so they are here.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}

  // 0 .. count-1.
  std::uint64_t below(std::uint64_t count) { return engine_() % count; }

  // As often near 100 as near 100000: what matters about a latency is its magnitude.
  std::uint64_t magnitude(std::uint64_t min, std::uint64_t max) {
    const double unit = static_cast<double>(engine_() >> 11) * 0x1p-53;
    return static_cast<std::uint64_t>(
        std::llround(static_cast<double>(min) *
                     std::pow(static_cast<double>(max) / static_cast<double>(min), unit)));
  }

 private:
  std::mt19937_64 engine_;
};

struct Latency {
  const char* property;
  std::uint64_t min;  // of the upper end; the lower one is 0
  std::uint64_t max;
};

// Of real devices and a bit beyond: longer ones make jobs slow and find no more. An invalidation may
// take longer than a fork on this machine, after which a job gets new pages: then it matters who
// waits for it.
constexpr Latency kLatencies[] = {
    {"doorbell-ns", 100, 100'000},
    {"invalidate-ns", 100, 50'000'000},
    {"access-ns", 10, 20'000},
    {"event-ns", 100, 100'000},
    {"interrupt-ns", 100, 100'000},
};

// `image` in whole units: itself, or a copy in `folder` that is made again when the image changed.
MemoryImage padded(const fs::path& image, const fs::path& folder, const std::string& name) {
  const std::uint64_t bytes = fs::file_size(image);
  if (bytes > 0 && bytes % kImageUnit == 0) return {.file = image, .bytes = bytes};
  const MemoryImage result{.file = folder / (name + ".image"), .bytes = rounded_up(bytes)};
  Inputs inputs;
  inputs.add("image", image.string() + file_stamp(image));
  fs::create_directories(folder);
  const Lock lock(folder / ".lock", {});
  if (is_current(result.file, inputs)) return result;
  // A guest may still have the old one: replace it, never change it.
  const fs::path partial = result.file.string() + ".partial";
  fs::copy_file(image, partial, fs::copy_options::overwrite_existing);
  fs::resize_file(partial, result.bytes);
  fs::rename(partial, result.file);
  set_current(result.file, inputs);
  return result;
}

// A folder as a read-only image. The same files give the same bytes.
MemoryImage packed(const fs::path& folder, const fs::path& image) {
  const fs::path partial = image.string() + ".partial";
  fs::remove(partial);
  const Output output =
      capture({"mkfs.erofs", "--quiet", "--all-root", "-T", "0", "-U",
               "00000000-0000-0000-0000-000000000000", partial, folder},
              {}, true);
  if (output.status != 0) {
    throw Failure(std::format("cannot pack {}: {}", folder.string(), output.text));
  }
  const std::uint64_t bytes = rounded_up(fs::file_size(partial));
  fs::resize_file(partial, bytes);
  fs::rename(partial, image);
  return {.file = image, .bytes = bytes};
}

// The guest tests, as they are in the checkout for other guests.
fs::path staged_tests(const Workshop& workshop, const fs::path& program) {
  const fs::path stage = workshop.places().build / "images/guest-tests";
  const fs::path file = stage / program.filename();
  Inputs inputs;
  inputs.add("program", program.string() + file_stamp(program));
  const fs::path stamped = workshop.places().build / "images/guest-tests.stamp";
  if (fs::exists(file) && is_current(stamped, inputs)) return stage;
  fs::create_directories(stage);
  fs::copy_file(program, file, fs::copy_options::overwrite_existing);
  write_file(stamped, "");
  set_current(stamped, inputs);
  return stage;
}

}  // namespace

Draw draw(std::uint64_t seed) {
  Dice dice(seed);
  Draw draw;
  for (const Latency& latency : kLatencies) {
    // One in three is as fast as it can be: slowness everywhere hides as much as speed does.
    if (dice.below(3) == 0) continue;
    draw.gpu.emplace_back(latency.property,
                          "0-" + std::to_string(dice.magnitude(latency.min, latency.max)));
  }
  // Steps and ticks of changing size: the parts of two jobs meet in every order.
  draw.gpu.emplace_back("step-bytes", "1024-" + std::to_string(dice.magnitude(1024, 65536)));
  draw.gpu.emplace_back("tick-ns", "1000-" + std::to_string(dice.magnitude(4000, 40'000)));
  draw.gpu.emplace_back("poll-ns", std::to_string(dice.magnitude(2000, 50'000)));
  draw.gpu.emplace_back("timeslice-ns", std::to_string(dice.magnitude(20'000, 5'000'000)));
  // A seed with turns of 3 us took 7 s, others 4 to 5.
  draw.turn_max_ns = dice.magnitude(10'000, 1'000'000);
  draw.turn_min_ns = std::min<std::uint64_t>(draw.turn_max_ns, 100);
  draw.gpu.emplace_back("preempt-ns", "0-" + std::to_string(dice.magnitude(100, 1'000'000)));
  return draw;
}

GpuProperties seeded_properties(const GpuProperties& asked, std::uint64_t seed) {
  GpuProperties properties = asked;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (std::ranges::find(properties, name, &GpuProperties::value_type::first) == properties.end()) {
      properties.emplace_back(name, value);
    }
  };
  add("executor", "clock");
  // 0 would mean that QEMU draws one.
  add("seed", std::to_string(seed + 1));
  for (const auto& [name, value] : draw(seed).gpu) add(name, value);
  return properties;
}

void set_seed(Guest& guest, const GpuProperties& asked, std::uint64_t seed) {
  const Draw drawn = draw(seed);
  guest.deterministic->seed = seed;
  guest.deterministic->turn_min_ns = drawn.turn_min_ns;
  guest.deterministic->turn_max_ns = drawn.turn_max_ns;
  guest.gpu = seeded_properties(asked, seed);
}

MemoryImage write_orders(const fs::path& file, const guest::Start& start) {
  const std::string frame = guest::encode(guest::FrameType::start, guest::encode(start));
  if (frame.size() > kImageUnit) throw Failure("the command is too long for a deterministic guest");
  write_file(file, frame);
  fs::resize_file(file, kImageUnit);
  return {.file = file, .bytes = kImageUnit};
}

void make_deterministic(Workshop& workshop, const VmOptions& vm, const Kernel& kernel,
                        Prepared& prepared) {
  Guest& guest = prepared.guest;
  for (const auto& [name, value] : guest.gpu) {
    if (name == "executor" && value != "clock") {
      throw UsageError("--gpu executor=" + value + ": with a seed it is executor=clock");
    }
  }
  guest.kvm = false;
  guest.deterministic.emplace();
  set_seed(guest, guest.gpu, *vm.seed);

  guest::Start& start = prepared.session.start;
  start.mounts.clear();
  // Nothing of the place where the command was given.
  start.directory = "/root";
  for (std::string& variable : start.environment) {
    if (variable.starts_with("TERM=")) variable = "TERM=dumb";
  }
  std::vector<MemoryImage>& images = guest.deterministic->images;
  images.emplace_back();  // orders: written for each run
  if (workshop.makes_nothing()) {
    for (const fs::path& disk : guest.disks) images.push_back({.file = disk});
    return;
  }
  if (!can_be_deterministic(kernel)) {
    throw Failure(std::format("--kernel {}: a seed needs CONFIG_ACPI_NFIT and CONFIG_BLK_DEV_PMEM",
                              kernel.name));
  }
  const fs::path folder = workshop.places().build / "images" / kernel.id;
  for (std::size_t i = 0; i < guest.disks.size(); ++i) {
    // Beside the tools of the driver in use; root and modules are the kernel's.
    const fs::path into = i == 2 ? guest.disks[i].parent_path() : folder;
    images.push_back(padded(guest.disks[i], into, "disk" + std::to_string(i)));
  }
  const auto add_folder = [&](const fs::path& from, const std::string& mount, const fs::path& image) {
    images.push_back(packed(from, image));
    start.mounts.push_back({.tag = std::string{guest::kImageTag} + std::to_string(images.size() - 1),
                            .path = mount,
                            .writable = false});
  };
  if (const fs::path tests = guest_tests_in(start.arguments, workshop); !tests.empty()) {
    add_folder(staged_tests(workshop, tests), tests.parent_path(), folder / "guest-tests.image");
  }
  const fs::path copies = run_folder(workshop.places());
  for (std::size_t i = 0; i < vm.shares.size(); ++i) {
    add_folder(visible(vm.shares[i].folder), vm.shares[i].mount,
               copies / ("share" + std::to_string(i) + ".image"));
  }
  guest.shares.clear();
}

std::string first_difference(const std::string& one, const std::string& other) {
  if (one == other) return "";
  std::size_t at = 0, line = 1, begin = 0;
  while (at < std::min(one.size(), other.size()) && one[at] == other[at]) {
    if (one[at++] == '\n') ++line, begin = at;
  }
  const auto rest = [&](const std::string& text) {
    return text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
  };
  return std::format("line {}: '{}' and '{}'", line, rest(one), rest(other));
}

}  // namespace figment::host

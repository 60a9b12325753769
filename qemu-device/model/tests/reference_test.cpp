// SPDX-License-Identifier: MIT
// The hardware reference is true: its worked example runs as it stands there,
// and its register tables say what the device does.
//
// FIGMENT_REFERENCE is the path of docs/hardware.md.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "gpu.h"

namespace figment::test {

namespace {

std::vector<std::string> lines_of_reference() {
  std::ifstream file(FIGMENT_REFERENCE);
  EXPECT_TRUE(file) << FIGMENT_REFERENCE;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The bytes of the dump after "<!-- example: NAME -->"; nothing for a letter: any value.
std::vector<std::optional<uint8_t>> example(const std::string& name) {
  std::vector<std::optional<uint8_t>> bytes;
  const auto lines = lines_of_reference();
  auto line = std::ranges::find(lines, "<!-- example: " + name + " -->");
  if (line == lines.end() || *++line != "```") return bytes;
  for (++line; line != lines.end() && *line != "```"; ++line) {
    std::istringstream text(line->substr(line->find(':') + 1));
    for (std::string byte; text >> byte;) {
      if (std::isalpha(byte[0]) && byte.size() == 1) {
        bytes.push_back(std::nullopt);
      } else {
        bytes.push_back(static_cast<uint8_t>(std::stoul(byte, nullptr, 16)));
      }
    }
  }
  return bytes;
}

TEST(Reference, its_worked_example_runs) {
  constexpr uint64_t kRing = 0x10000, kData = 0x20000;
  Gpu gpu;
  const uint64_t ring = gpu.map_new(1, kRing, kPage, 0);
  const uint64_t data = gpu.map_new(1, kData, 2 * kPage);
  const uint64_t descriptor = gpu.allocate(kPage);
  const auto put = [&](uint64_t at, const std::string& name) {
    const auto bytes = example(name);
    for (size_t i = 0; i < bytes.size(); ++i) gpu.host.store<uint8_t>(at + i, bytes[i].value());
    return bytes.size();
  };
  ASSERT_EQ(put(descriptor, "descriptor"), 64u);
  ASSERT_EQ(put(ring, "ring"), 0x38u);
  gpu.write64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_DESC, descriptor);
  gpu.command(0, FIGMENT_QUEUE_START);
  gpu.doorbell(0, 0x38);
  gpu.run_all();
  EXPECT_EQ(gpu.queue_code(0), FIGMENT_CODE_NONE);
  for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(gpu.host.load<uint32_t>(data + i * 4), 7 + i);
  EXPECT_EQ(gpu.host.load<uint32_t>(data + 64), 0u);
  EXPECT_EQ(gpu.host.load<uint64_t>(data + 0x1000), 1u);
  EXPECT_EQ(gpu.read64(FIGMENT_REG_QUEUE(0) + FIGMENT_QUEUE_READ), 0x38u);
  EXPECT_EQ(gpu.host.load<uint64_t>(descriptor + 32), 0x38u);
  const auto event = example("event");
  ASSERT_EQ(event.size(), sizeof(figment_event));
  const uint64_t ring_base = gpu.read64(FIGMENT_REG_EVENT_BASE);
  for (size_t i = 0; i < event.size(); ++i) {
    const auto written = gpu.host.load<uint8_t>(ring_base + i);
    EXPECT_EQ(event[i].value_or(written), written) << "byte " << i;
  }
}

// The cells of a table row, without blanks and backquotes around them.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream text(line);
  for (std::string cell; std::getline(text, cell, '|');) {
    const auto first = cell.find_first_not_of(" `");
    const auto last = cell.find_last_not_of(" `");
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
  }
  return cells;
}

// Each row "| 0xOFFSET | `NAME` | BITS | ACCESS | RESET | ..." against the device.
TEST(Reference, its_register_tables_are_those_of_the_device) {
  GpuOptions options;
  options.config.inject = true;
  Gpu gpu(options);
  gpu.pci_reset();
  unsigned rows = 0;
  for (const std::string& line : lines_of_reference()) {
    const std::vector<std::string> cells = cells_of(line);
    if (cells.size() < 7 || !cells[1].starts_with("0x")) continue;
    const std::string &name = cells[2], &access = cells[4], &reset = cells[5];
    if (access != "ro" && access != "rw" && access != "wo" && access != "rw1c") continue;
    SCOPED_TRACE(line);
    ++rows;
    const bool of_queue = name.starts_with("QUEUE_");
    const uint64_t offset =
        std::stoull(cells[1], nullptr, 16) + (of_queue ? FIGMENT_REG_QUEUE(5) : 0);
    const unsigned bytes = cells[3] == "64" ? 8 : 4;
    const uint64_t before = gpu.guest_errors();
    const uint64_t value = gpu.read(offset, bytes);
    EXPECT_EQ(gpu.guest_errors() - before, access == "wo" ? 1u : 0u);
    (void)gpu.read(offset, 12 - bytes);
    EXPECT_EQ(gpu.guest_errors() - before, access == "wo" ? 2u : 1u) << "the other width";
    if (reset == "~0") {
      EXPECT_EQ(value, bytes == 8 ? ~0ull : 0xffffffffull);
    } else if (reset != "-" && reset != "property") {
      // This test makes guest errors itself.
      EXPECT_EQ(value, name == "GUEST_ERRORS" ? before : std::stoull(reset, nullptr, 0));
    }
    // 0 is an error of its own in a write-only register.
    if (access == "wo") continue;
    const uint64_t errors = gpu.guest_errors();
    gpu.write(offset, 0, bytes);
    EXPECT_EQ(gpu.guest_errors() - errors, access == "ro" ? 1u : 0u);
  }
  EXPECT_EQ(rows, 22u + 8u + 15u) << "a row was not recognised";
}

}  // namespace

}  // namespace figment::test

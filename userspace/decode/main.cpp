// SPDX-License-Identifier: MIT
//
// figment-decode: a device coredump in words. Exit status: 0; 1 there is no dump, or it is no dump,
// or only a part of one; 2 wrong usage.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>
#include <iostream>
#include <iterator>
#include <print>
#include <string>
#include <vector>

#include "describe.h"

namespace {

namespace fs = std::filesystem;
using namespace figment::decode;

constexpr const char* kClass = "/sys/class/devcoredump";
// More than any driver writes; who says more should not take all memory.
constexpr std::size_t kBytesMost = 64 << 20;

std::string read_all(std::istream& stream, const std::string& name) {
  std::string text;
  std::vector<char> piece(1 << 16);
  while (stream.read(piece.data(), static_cast<std::streamsize>(piece.size())),
         stream.gcount() > 0) {
    text.append(piece.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.size() > kBytesMost) throw DumpError(name + " is too long for a dump");
  }
  if (stream.bad()) throw DumpError("cannot read " + name);
  return text;
}

// Of those that are a Figment's, the one that came last.
fs::path newest_dump() {
  fs::path newest;
  unsigned long highest = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(kClass, none)) {
    const std::string driver =
        fs::read_symlink(entry.path() / "failing_device/driver", none).filename();
    if (driver != "figment") continue;
    // devcd1, devcd2, ...
    const std::string name = entry.path().filename();
    const unsigned long number =
        std::strtoul(name.c_str() + std::min<std::size_t>(name.size(), 5), nullptr, 10);
    if (!newest.empty() && number < highest) continue;
    highest = number;
    newest = entry.path() / "data";
  }
  if (newest.empty()) throw DumpError(std::format("no Figment has a dump in {}", kClass));
  return newest;
}

std::string read_input(const std::string& file) {
  if (file == "-") return read_all(std::cin, "stdin");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw DumpError(std::format("cannot open {}: {}", file, std::strerror(errno)));
  return read_all(stream, file);
}

void dismiss(const std::string& file) {
  std::ofstream stream(file);
  stream << 1 << std::flush;
  if (!stream) throw DumpError("cannot dismiss " + file);
}

std::string packets(const std::string& bytes, std::uint64_t address) {
  std::vector<std::uint64_t> words(bytes.size() / sizeof(std::uint64_t));
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), words.size() * sizeof(std::uint64_t));
  std::string text = describe_packets(words, address);
  if (bytes.size() % sizeof(std::uint64_t)) text += "and a part of a word\n";
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Says in words what a device coredump of a Figment GPU tells.");
  std::string file;
  bool json = false, raw = false, dismissed = false;
  std::uint64_t address = 0;
  app.add_option("FILE", file, "A dump; -: stdin. Default: the newest in /sys/class/devcoredump");
  app.add_flag("--json", json, "As JSON");
  app.add_flag("--dismiss", dismissed,
               "Then remove the dump, so that the kernel keeps the next one");
  auto* packets_flag =
      app.add_flag("--packets", raw, "FILE is a ring or a buffer: packets, and nothing else");
  app.add_option("--address", address, "GPU address of the first packet")->needs(packets_flag);
  try {
    app.parse(argc, argv);
    if (raw && (json || dismissed || file.empty())) {
      throw CLI::ValidationError("--packets", "needs FILE, and goes with --address only");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    if (file.empty()) file = newest_dump();
    const std::string text = read_input(file);
    if (raw) {
      std::print("{}", packets(text, address));
      return 0;
    }
    const Dump dump = read_dump(text);
    std::print("{}", json ? to_json(dump).dump(2) + "\n" : describe(dump));
    if (dump.cut_at_line) {
      throw DumpError(std::format("the dump ends early, at line {}", *dump.cut_at_line));
    }
    if (dismissed) dismiss(file);
  } catch (const std::exception& error) {
    std::cout.flush();
    std::println(stderr, "figment-decode: {}", error.what());
    return 1;
  }
}

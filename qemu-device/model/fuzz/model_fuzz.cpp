// SPDX-License-Identifier: MIT
// figment-model-fuzz: libFuzzer over World. Everything that libFuzzer takes, and:
//
//   --seeds DIR [HEXDIR]   writes the seed corpus to DIR, and the inputs that HEXDIR has as text
//   --tell FILE            plays FILE and says each action in words
//   --hex FILE             prints FILE as such a text
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <iterator>
#include <string_view>

#include "seeds.h"
#include "world.h"

namespace {

namespace fs = std::filesystem;
using figment::fuzz::World;
using Bytes = std::vector<uint8_t>;

Bytes read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "figment-model-fuzz: cannot read %s\n", path.c_str());
    std::exit(2);
  }
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

void write_bytes(const fs::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) {
    std::fprintf(stderr, "figment-model-fuzz: cannot write %s\n", path.c_str());
    std::exit(2);
  }
}

// Pairs of hexadecimal digits; blanks and lines that begin with '#' mean nothing.
Bytes from_hex(const fs::path& path) {
  std::ifstream file(path);
  Bytes bytes;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::erase_if(line, [](char c) { return c == ' '; });
    for (size_t i = 0; i + 1 < line.size(); i += 2) {
      bytes.push_back(static_cast<uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
    }
  }
  return bytes;
}

void write_seeds(const fs::path& into, const char* texts) {
  fs::create_directories(into);
  for (const auto& seed : figment::fuzz::seeds()) write_bytes(into / seed.name, seed.bytes);
  if (!texts || !fs::exists(texts)) return;
  for (const auto& entry : fs::directory_iterator(texts)) {
    if (entry.path().extension() != ".hex") continue;
    write_bytes(into / entry.path().stem(), from_hex(entry.path()));
  }
}

void print_hex(const Bytes& bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::printf("%02x%c", bytes[i], i % 32 == 31 || i + 1 == bytes.size() ? '\n' : ' ');
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const std::string_view first = *argc > 2 ? (*argv)[1] : "";
  const char* const second = *argc > 2 ? (*argv)[2] : nullptr;
  if (first == "--seeds") {
    write_seeds(second, *argc > 3 ? (*argv)[3] : nullptr);
  } else if (first == "--tell") {
    figment::fuzz::set_telling(true);
    World(read_bytes(second)).play();
  } else if (first == "--hex") {
    print_hex(read_bytes(second));
  } else {
    return 0;
  }
  std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  World({data, size}).play();
  return 0;
}

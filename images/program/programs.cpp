// SPDX-License-Identifier: MIT
//
// What meson builds (programs), and kbuild (driver). Both are incremental and live in build/ of the
// checkout, outside the folders of the sources.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "workshop.h"

namespace figment::host {

namespace {

// Programs below this folder go into the image of the tools, unless they are unit tests. The guest
// tests are found in the checkout: who does not run them need not wait until they are compiled.
constexpr const char* kGuestFolder = "userspace";

nlohmann::json introspect(const fs::path& folder, const std::string& what) {
  return nlohmann::json::parse(read_file(folder / "meson-info" / ("intro-" + what + ".json")));
}

// The file of a target of that folder.
fs::path product(const fs::path& folder, const std::string& target) {
  for (const auto& entry : introspect(folder, "targets")) {
    const bool runs = entry.at("type") == "executable" || entry.at("type") == "shared library";
    if (runs && entry.at("name") == target) return entry.at("filename").at(0).get<std::string>();
  }
  throw Failure("meson builds no " + target);
}

bool is_below(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

fs::path Workshop::meson_product(const std::string& target) const {
  return product(meson_folder(), target);
}

fs::path Workshop::fuzz_product(const std::string& target) {
  configure_fuzzers();
  return product(fuzz_folder(), target);
}

// Anew in another build root, which may have another clang.
void Workshop::configure_fuzzers() {
  const fs::path stamp = fuzz_folder() / ".build-root";
  if (fs::exists(stamp) && read_file(stamp) == places_.build_root_id) return;
  if (make_nothing_) return;
  const Lock lock(places_.build / "fuzz.lock",
                  [] { std::cerr << "figment: fuzzers: waiting for another run\n"; });
  if (fs::exists(stamp) && read_file(stamp) == places_.build_root_id) return;
  Task task(*this, "fuzzers");
  fs::remove_all(fuzz_folder());
  task.run({"env", "-u", "CFLAGS", "-u", "CXXFLAGS", "-u", "LDFLAGS", "CXX=clang++", "meson",
            "setup", fuzz_folder(), places_.checkout, "-Dfuzz=true"});
  write_file(stamp, places_.build_root_id);
}

void Workshop::fuzzers(const std::vector<std::string>& targets) {
  configure_fuzzers();
  if (make_nothing_) return;
  Argv argv{"ninja", "-C", fuzz_folder()};
  std::ranges::copy(targets, std::back_inserter(argv));
  const Lock lock(places_.build / "fuzz.lock",
                  [] { std::cerr << "figment: fuzzers: waiting for another run\n"; });
  Argv question = argv;
  question.push_back("-n");
  if (capture(question, {}, true).text.contains("no work to do")) return;
  Task task(*this, "fuzzers");
  task.run(argv);
}

std::vector<fs::path> Workshop::guest_programs() const {
  std::vector<fs::path> unit_tests;
  for (const auto& test : introspect(meson_folder(), "tests")) {
    unit_tests.emplace_back(test.at("cmd").at(0).get<std::string>());
  }
  std::vector<fs::path> programs;
  for (const auto& target : introspect(meson_folder(), "targets")) {
    if (target.at("type") != "executable") continue;
    const fs::path file = target.at("filename").at(0).get<std::string>();
    const fs::path defined = target.at("defined_in").get<std::string>();
    const bool is_test = std::ranges::find(unit_tests, file) != unit_tests.end();
    const bool for_guest = is_below(defined, places_.checkout / kGuestFolder);
    if (for_guest && !is_test) programs.push_back(file);
  }
  return programs;
}

std::vector<fs::path> Workshop::guest_targets() const {
  std::vector<fs::path> files = guest_programs();
  files.push_back(agent());
  files.push_back(model());
  return files;
}

void Workshop::programs(const std::vector<std::string>& targets) {
  if (make_nothing_) return;
  Argv argv{"ninja", "-C", meson_folder()};
  std::ranges::copy(targets, std::back_inserter(argv));
  if (targets.empty()) {
    for (const fs::path& file : guest_targets()) {
      argv.push_back(file.lexically_relative(meson_folder()));
    }
  }
  const Lock lock(places_.build / ".lock",
                  [] { std::cerr << "figment: programs: waiting for another run\n"; });
  // Nearly always there is nothing to do; then nothing is said.
  Argv question = argv;
  question.push_back("-n");
  if (capture(question, {}, true).text.contains("no work to do")) return;
  Task task(*this, "programs");
  task.run(argv);
}

fs::path Workshop::driver_file(const Kernel& kernel) const {
  return places_.build / "driver" / product_id(kernel) / "figment.ko";
}

fs::path Workshop::control_module_file(const Kernel& kernel) const {
  return places_.build / "test-modules" / kernel.id / "figment_control.ko";
}

fs::path Workshop::control_module(const Kernel& kernel) {
  const fs::path source = places_.checkout / "tests/controls";
  const fs::path file = control_module_file(kernel);
  Inputs inputs = module_inputs(kernel);
  inputs.add_path("tests/controls", source);
  const Lock lock(places_.build / "driver.lock", {});
  if (is_current(file, inputs)) return file;
  Task task(*this, "test-modules");
  module(task, kernel, source, file.parent_path(), "figment_control");
  set_current(file, inputs);
  return file;
}

// Of every module for a kernel.
Inputs Workshop::module_inputs(const Kernel& kernel) const {
  Inputs inputs;
  inputs.add("build root", places_.build_root_id);
  inputs.add("kernel", kernel.id + " " + kernel.release + " " +
                           file_stamp(kernel.build / "Module.symvers"));
  return inputs;
}

Argv driver_words(const Kernel& kernel) {
  Argv words = {"CONFIG_DRM_FIGMENT=m"};
  // As the recipe of that kernel has it for what the driver builds on.
  if (kernel.name == "paranoid") words.push_back("KCOV_INSTRUMENT=y");
  return words;
}

Inputs Workshop::driver_inputs(const Kernel& kernel) const {
  Inputs inputs = module_inputs(kernel);
  // By file, so that doctor can name the one that changed.
  const fs::path parent = driver_source_.parent_path();
  for (const auto& entry : fs::recursive_directory_iterator(driver_source_)) {
    if (!entry.is_regular_file() || entry.path().filename().string().starts_with('.')) continue;
    inputs.add_path(fs::relative(entry.path(), parent), entry.path());
  }
  return inputs;
}

// With debug information, whatever the kernel has itself: for call traces and debuggers.
fs::path Workshop::module(Task& task, const Kernel& kernel, const fs::path& source,
                          const fs::path& into, const std::string& name, const Argv& words) {
  fs::create_directories(into);
  Argv argv = {"make", "-C", kernel.build, "M=" + source.string(), "MO=" + into.string(),
               "KCFLAGS=-g", "modules"};
  std::ranges::copy(words, std::back_inserter(argv));
  task.run(argv);
  return into / (name + ".ko");
}

Driver Workshop::driver(const Kernel& kernel) {
  const fs::path& source = driver_source_;
  const fs::path module = driver_file(kernel);
  const fs::path into = module.parent_path();
  const Inputs inputs = driver_inputs(kernel);
  const Lock lock(places_.build / "driver.lock",
                  [] { std::cerr << "figment: driver: waiting for another run\n"; });
  if (!is_current(module, inputs)) {
    Task task(*this, "driver");
    this->module(task, kernel, source, into, "figment", driver_words(kernel));
    set_current(module, inputs);
  }
  const Output depends = capture({"modinfo", "-F", "depends", module});
  if (depends.status != 0) throw Failure("driver: modinfo cannot read " + module.string());
  Driver driver{.module = module, .needs = {}};
  std::istringstream names{depends.text};
  for (std::string name; std::getline(names >> std::ws, name, ',');) {
    while (name.ends_with('\n')) name.pop_back();
    if (!name.empty()) driver.needs.push_back(name);
  }
  return driver;
}

}  // namespace figment::host

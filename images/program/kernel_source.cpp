// SPDX-License-Identifier: MIT
//
// Kernels from Debian's source with options of ours: "debug" and "paranoid".
//
// The configuration is tinyconfig and fragments of images/kernel, one after the other; a fragment's
// wish that Kconfig does not grant ends the recipe. The driver's folder is in the tree as
// drivers/gpu/drm/figment, so that DRM_FIGMENT selects the helpers that it needs; two lines of the
// kernel's own hook it in.
//
// Source and objects stay in a workspace of the cache, one for all flavours and checkouts, so that a
// changed option costs what kbuild makes of it. What is used is an entry: the image, the modules,
// and the part of the tree that modules are built against, as distributions pack it. The driver of
// a guest is not the one that is compiled here but built against that part whenever it changes, and
// so of the driver only Kconfig is an input.
#include <algorithm>
#include <format>
#include <iostream>
#include <thread>

#include "kernel_config.h"
#include "source_copy.h"
#include "workshop.h"

namespace figment::host {

namespace {

const fs::path kPackages = "/usr/src/figment";

constexpr Hook kHooks[] = {
    {"drivers/gpu/drm/Kconfig", "source \"drivers/gpu/drm/exynos/Kconfig\"",
     "source \"drivers/gpu/drm/figment/Kconfig\""},
    {"drivers/gpu/drm/Makefile", "obj-$(CONFIG_DRM_ETNAVIV) += etnaviv/",
     "obj-$(CONFIG_DRM_FIGMENT) += figment/"},
};

// Folders that no configuration of ours can need: a third of the source.
const Argv kUnneeded = {"arch/[!Kx]*/[!cs]*", "Documentation/[!K]*", "tools/testing", "tools/perf",
                        "drivers/gpu/drm/amd/include"};

// Line tables and nothing else: call traces are decoded, and the build costs little more.
constexpr const char* kDebugInfo = "KCFLAGS=-g1";

// Who built it, where and when is no part of a kernel.
const std::vector<std::string> kAnonymous = {"KBUILD_BUILD_USER=figment",
                                             "KBUILD_BUILD_HOST=figment",
                                             "KBUILD_BUILD_TIMESTAMP=2026-01-01"};

// Modules that Debian's kernel lacks, or those of ours, because each option costs everybody a new
// kernel.
struct SourceModule {
  std::string name;
  Argv files;  // as tar finds them
  std::string makefile;
};
const SourceModule kSourceModules[] = {
    {"test_hmm", {"*/lib/test_hmm.c", "*/lib/test_hmm_uapi.h"}, "obj-m := test_hmm.o\n"},
    {"dmabuf_kunit",
     {"*/drivers/dma-buf/st-*.c"},
     "obj-m := dmabuf_kunit.o\n"
     "dmabuf_kunit-y := st-dma-fence.o st-dma-fence-chain.o st-dma-fence-unwrap.o st-dma-resv.o\n"},
    {"gpu_buddy_tests",
     {"*/drivers/gpu/tests/*.[ch]"},
     "obj-m := gpu_buddy_tests.o\ngpu_buddy_tests-y := gpu_buddy_test.o gpu_random.o\n"},
};

struct Flavour {
  const char* name;
  std::vector<const char*> fragments;
  // KASAN instruments the objects that kasan-objects names, and not the whole kernel.
  bool chosen_objects;
  // Variables of make.
  std::vector<const char*> variables;
};

const Flavour& flavour_of(const std::string& name) {
  static const std::vector<Flavour> flavours = {
      {"debug", {"guest", "debug"}, true, {}},
      // The PVH entry compares strings before there is a shadow to look into.
      {"paranoid", {"guest", "debug", "paranoid"}, false, {"KASAN_SANITIZE_string.o=n"}},
  };
  const auto found = std::ranges::find(flavours, name, &Flavour::name);
  if (found == flavours.end()) throw Failure("there is no recipe for a kernel " + name);
  return *found;
}

fs::path source_package() {
  for (const auto& file : fs::directory_iterator(kPackages)) {
    if (file.path().filename().string().starts_with("linux-source-")) return file.path();
  }
  throw Failure("the build root has no source of the kernel");
}

std::vector<std::string> words_of(const fs::path& list) {
  std::vector<std::string> words;
  std::istringstream lines{read_file(list)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && !line.starts_with('#')) words.push_back(line);
  }
  return words;
}

// Variables of make that say what is instrumented. KASAN_SANITIZE of the environment is what holds
// where no Makefile says otherwise; a variable of the command line is stronger than any of them.
struct Instrumented {
  std::vector<std::string> environment;
  Argv variables;
};

Instrumented instrumented(const Flavour& flavour, const fs::path& fragments) {
  Instrumented result;
  const char* variable = flavour.chosen_objects ? "KASAN_SANITIZE_" : "KCOV_INSTRUMENT_";
  if (flavour.chosen_objects) result.environment.push_back("KASAN_SANITIZE=n");
  for (const std::string& object : words_of(fragments / "kasan-objects")) {
    result.variables.push_back(variable + object + ".o=y");
  }
  std::ranges::copy(flavour.variables, std::back_inserter(result.variables));
  return result;
}

// The options, as asked for by the fragments.
std::string fragments_text(const Flavour& flavour, const fs::path& fragments) {
  std::string text;
  for (const char* name : flavour.fragments) {
    text += read_file(fragments / (std::string{name} + ".config"));
  }
  return text;
}

void configure(Task& task, const Flavour& flavour, const fs::path& fragments, const fs::path& source,
               const fs::path& objects) {
  const std::string asked = fragments_text(flavour, fragments);
  const fs::path config = objects / ".config";
  const std::string final = fs::exists(config) ? read_file(config) : "";
  // As it is: kbuild would look at every file again if the configuration were only written anew.
  if (fs::exists(objects / "figment.asked") && read_file(objects / "figment.asked") == asked &&
      fs::exists(objects / "figment.config") && read_file(objects / "figment.config") == final) {
    return;
  }
  const Argv make = {"make", "-C", source, "O=" + objects.string()};
  const auto with = [&make](const char* target) {
    Argv argv = make;
    argv.push_back(target);
    return argv;
  };
  fs::create_directories(objects);
  task.run(with("tinyconfig"));
  write_file(config, read_file(config) + asked);
  task.run(with("olddefconfig"));
  const std::vector<std::string> differences =
      config_differences(parse_kernel_config(asked), parse_kernel_config(read_file(config)));
  if (!differences.empty()) {
    std::string text;
    for (const std::string& difference : differences) text += "\n  " + difference;
    throw Failure(std::format("kernel {}: options of images/kernel that Kconfig does not grant:{}",
                              flavour.name, text));
  }
  write_file(objects / "figment.asked", asked);
  write_file(objects / "figment.config", read_file(config));
}

}  // namespace

bool is_built_kernel(const std::string& name) { return name == "debug" || name == "paranoid"; }

Inputs Workshop::kernel_source_inputs() const {
  Inputs inputs;
  inputs.add("source", source_package().filename().string());
  for (const Hook& hook : kHooks) inputs.add("hook", std::string{hook.file} + hook.after + hook.line);
  return inputs;
}

Inputs Workshop::built_kernel_inputs(const std::string& name) const {
  const Flavour& flavour = flavour_of(name);
  const fs::path folder = "images/kernel";
  Inputs inputs = kernel_source_inputs();
  inputs.add("build root", places_.build_root_id);
  inputs.add("recipe", std::string{kDebugInfo} + " " + quoted(kAnonymous));
  for (const char* fragment : flavour.fragments) {
    const fs::path file = folder / (std::string{fragment} + ".config");
    inputs.add_path(file, places_.checkout / file);
  }
  for (const char* variable : flavour.variables) inputs.add("variable", variable);
  inputs.add_path(folder / "kasan-objects", places_.checkout / folder / "kasan-objects");
  inputs.add_path("kernel-driver/Kconfig", places_.checkout / "kernel-driver/Kconfig");
  return inputs;
}

fs::path Workshop::kernel_source_folder() const {
  return cache_.workspace_path("kernel-source", kernel_source_inputs().key()) / "source";
}

void Workshop::unpack_source(Task& task, const fs::path& into, const Argv& which) {
  // Three programs, none of which needs the others' result on the disk.
  Argv argv = {"sh",
               "-c",
               "set -e; package=$1; into=$2; shift 2; "
               "name=$(dpkg-deb -c \"$package\" | sed -n 's/.* \\(\\S*\\.tar\\.xz\\)$/\\1/p'); "
               "dpkg-deb --fsys-tarfile \"$package\" | tar -xO \"$name\" | xz -dc -T0 | "
               "tar -x -C \"$into\" --strip-components=1 --anchored --wildcards "
               "--no-wildcards-match-slash \"$@\"",
               "sh",
               source_package(),
               into};
  std::ranges::copy(which, std::back_inserter(argv));
  task.run(argv);
}

// The unpacked source, hooked, with the driver of this checkout in it.
fs::path Workshop::kernel_source(Task& task) {
  const fs::path source = kernel_source_folder();
  if (!fs::exists(source)) {
    const fs::path partial = source.string() + ".partial";
    fs::remove_all(partial);
    fs::create_directories(partial);
    Argv excludes;
    for (const std::string& pattern : kUnneeded) excludes.push_back("--exclude=*/" + pattern);
    unpack_source(task, partial, excludes);
    for (const Hook& hook : kHooks) apply(hook, partial);
    fs::rename(partial, source);
  }
  refresh_sources(files_below(places_.checkout / "kernel-driver"),
                  source / "drivers/gpu/drm/figment");
  return source;
}

Kernel Workshop::built_kernel(const std::string& name) {
  const Flavour& flavour = flavour_of(name);
  const std::string part = "kernel-" + name;
  const fs::path fragments = places_.checkout / "images/kernel";
  const Inputs inputs = built_kernel_inputs(name);
  const auto waiting = [&part] {
    std::cerr << "figment: " << part << ": waiting for another run that makes a kernel\n";
  };
  const fs::path entry = cache_.get(
      part, inputs,
      [&](const fs::path& into) {
        // The source is one for all flavours.
        const Lock lock(cache_.lock_file("kernel-source"), waiting);
        Task task(*this, part);
        const fs::path source = kernel_source(task);
        const fs::path objects = source.parent_path() / name;
        configure(task, flavour, fragments, source, objects);

        const Instrumented what = instrumented(flavour, fragments);
        const std::string jobs = std::to_string(std::max(1u, std::thread::hardware_concurrency()));
        std::vector<std::string> environment = kAnonymous;
        std::ranges::copy(what.environment, std::back_inserter(environment));
        const auto make = [&](Argv targets) {
          Argv argv = {"make", "-C", source, "O=" + objects.string(), "-j" + jobs, kDebugInfo};
          std::ranges::copy(what.variables, std::back_inserter(argv));
          std::ranges::move(targets, std::back_inserter(argv));
          task.run(argv, {.directory = {}, .environment = environment});
        };
        make({"vmlinux", "modules"});

        const std::string release = first_line(objects / "include/config/kernel.release");
        write_file(into / "release", release + "\n");
        fs::copy_file(objects / ".config", into / "config");
        fs::copy_file(objects / "vmlinux", into / "vmlinux");
        // With their line tables for us, without them for the guest.
        const fs::path modules = fs::path("lib/modules") / release;
        make({"modules_install", "INSTALL_MOD_PATH=" + (into / "symbols").string(), "DEPMOD=true"});
        make({"modules_install", "INSTALL_MOD_PATH=" + (into / "stripped").string(),
              "INSTALL_MOD_STRIP=1", "DEPMOD=true"});
        for (const char* tree : {"symbols", "stripped"}) {
          const fs::path folder = into / tree / modules;
          fs::remove(folder / "build");
          // A guest gets the driver of its checkout, built when it is needed.
          fs::remove_all(folder / "kernel/drivers/gpu/drm/figment");
        }
        task.run({"depmod", "-b", into / "stripped", release});
        fs::rename(into / "stripped/lib/modules", into / "modules");
        fs::remove_all(into / "stripped");
        task.run({"mkfs.erofs", "--quiet", into / "modules.erofs", into / "modules"});
        make({"run-command", "KBUILD_RUN_COMMAND=" +
                                 (source / "scripts/package/install-extmod-build").string() + " " +
                                 (into / "build").string()});
      },
      waiting);
  const std::string release = fs::exists(entry) ? first_line(entry / "release") : "unknown";
  return {.name = name,
          .id = name + "-" + inputs.key(),
          .release = release,
          .image = entry / "vmlinux",
          .modules = entry / "modules" / release,
          .modules_image = entry / "modules.erofs",
          .build = entry / "build",
          .symbols = entry / "symbols/lib/modules" / release};
}

fs::path Workshop::source_module(const Kernel& kernel, const std::string& name) {
  const auto known = std::ranges::find(kSourceModules, name, &SourceModule::name);
  // Of another version than the source are kernels of the user.
  if (known == std::end(kSourceModules) ||
      (kernel.name != "stock" && !is_built_kernel(kernel.name))) {
    return {};
  }
  const fs::path folder = places_.build / "test-modules" / kernel.id / name;
  const fs::path file = folder / (name + ".ko");
  Inputs inputs = module_inputs(kernel);
  inputs.add("source", source_package().filename().string());
  inputs.add("recipe", quoted(known->files) + known->makefile);
  const Lock lock(places_.build / "driver.lock", {});
  if (is_current(file, inputs)) return file;
  Task task(*this, "test-modules");
  const fs::path source = folder / "source";
  fs::remove_all(folder);
  fs::create_directories(source);
  unpack_source(task, source, known->files);
  for (const auto& [from, below] : files_below(source)) {
    fs::rename(from, source / below.filename());
  }
  write_file(source / "Makefile", known->makefile);
  module(task, kernel, source, folder, name);
  set_current(file, inputs);
  return file;
}

fs::path Workshop::hmm_module(const Kernel& kernel) {
  return kernel.name == "stock" ? source_module(kernel, "test_hmm") : fs::path();
}

}  // namespace figment::host

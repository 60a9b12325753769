// SPDX-License-Identifier: MIT
//
// The workshop makes what a guest is made of. Each part knows its inputs, so it is made once and
// again only when one of them changed:
//
//   build-root   the tree that all of this runs in                      in the cache
//   kernel       image and modules, by name or from a build tree        in the cache
//   kernel-*     image and modules of a kernel with options of ours     in the cache
//   qemu         QEMU with the Figment device                           in the cache
//   guest-root   the file system of the guest                           in the cache
//   igt-root     the tests of IGT, with the libraries that they need    in the cache
//   mesa-root    Mesa's software Vulkan driver, and headers of Vulkan    in the cache
//   selftests    the kernel's own tests in user space                   in the cache
//   programs     model, library, tools, tests, agent (meson)            in build/
//   driver       figment.ko for one kernel                              in build/
//   test-modules modules that only tests load                           in build/
//   initramfs    the agent, and the modules that reach the root         in build/
//   tools        the image with driver and tools                        in build/
//
// The cache is shared by all checkouts, build/ belongs to this one. One file per part.
#ifndef FIGMENT_PROGRAM_WORKSHOP_H
#define FIGMENT_PROGRAM_WORKSHOP_H

#include <string>
#include <vector>

#include "cache.h"
#include "process.h"

namespace figment::host {

// Where everything is. Paths are valid in the build root, and on the host as well.
struct Places {
  fs::path checkout;
  fs::path build;  // CHECKOUT/build
  fs::path cache;
  fs::path build_root;        // its cache entry
  std::string build_root_id;  // what is installed in it

  // From what ./figment has put into the environment. Throws Failure when that is missing.
  static Places from_environment();
};

struct Kernel {
  std::string name;     // as asked for: stock, debug, paranoid, or a folder
  std::string id;       // changes when the kernel does; fit for a file name
  std::string release;  // uname -r
  fs::path image;
  fs::path modules;        // folder with modules.dep
  fs::path modules_image;  // erofs, mounted at /usr/lib/modules
  fs::path build;          // for `make -C`
  fs::path symbols;        // folder with modules that have line tables, or empty
};

// debug and paranoid: compiled from Debian's source, with the options of images/kernel.
bool is_built_kernel(const std::string& name);

struct Driver {
  fs::path module;                     // figment.ko
  std::vector<std::string> needs;      // names of modules, from the module itself
};

// The image at /opt/figment of the guest, and what to load from there, in order.
struct Tools {
  fs::path image;
  std::vector<std::string> driver_modules;  // figment.ko last
  std::vector<std::string> nvme_modules;    // for comparisons
};

struct MesaRoot {
  fs::path image;
  fs::path headers;  // the folder that has vulkan/
};

struct PartInfo {
  std::string name;
  std::string what;     // in a sentence, for progress and doctor
  std::string typical;  // how long it takes on two cores
};

class Task;

// Every part, in the order of dependencies. The build root is made before this program runs.
const std::vector<PartInfo>& part_infos();

class Workshop {
 public:
  // With `make_nothing` each part only says where it would be.
  explicit Workshop(Places places, bool make_nothing = false);

  const Places& places() const { return places_; }
  const Cache& cache() const { return cache_; }
  bool makes_nothing() const { return make_nothing_; }

  // The driver's sources from another folder than the checkout's, a changed copy of it for one.
  void use_driver(const fs::path& source);

  // Each makes what it needs. Throws Failure with the name of the log when something goes wrong.
  Kernel kernel(const std::string& name);
  fs::path qemu();
  fs::path guest_root();
  fs::path igt_root();
  MesaRoot mesa_root();
  // A folder with the programs COLLECTION/PROGRAM of tests/selftests/list.
  fs::path selftests();
  // Builds the given meson targets; empty: all that a guest needs.
  void programs(const std::vector<std::string>& targets = {});
  // The tests with Mesa, for which meson needs headers of mesa_root(). Their program.
  fs::path mesa_tests();
  Driver driver(const Kernel& kernel);
  // Any module from its folder of sources, with its objects in `into`. What has not changed is not
  // compiled again; `words` go to make.
  fs::path module(Task& task, const Kernel& kernel, const fs::path& source, const fs::path& into,
                  const std::string& name, const Argv& words = {});
  // Builds the given targets of the fuzzers, with clang, in a folder of their own.
  void fuzzers(const std::vector<std::string>& targets);
  fs::path initramfs(const Kernel& kernel);
  Tools tools(const Kernel& kernel);

  // The module that provokes kernel reports, for the tests of the judge.
  fs::path control_module(const Kernel& kernel);
  // A module of the kernel's own source that kernels of this version do without; empty when it is
  // none of these, or the kernel is not.
  fs::path source_module(const Kernel& kernel, const std::string& name);
  // The kernel's own test_hmm, a device to compare with; empty for kernels but "stock".
  fs::path hmm_module(const Kernel& kernel);

  // Inputs of the parts in the cache: what their keys are made of.
  Inputs stock_kernel_inputs() const;
  Inputs built_kernel_inputs(const std::string& name) const;
  Inputs kernel_source_inputs() const;  // of the workspace
  fs::path kernel_source_folder() const;
  Inputs qemu_inputs() const;
  Inputs qemu_workspace_inputs() const;
  Inputs guest_root_inputs() const;
  Inputs igt_root_inputs() const;
  Inputs mesa_root_inputs() const;
  Inputs selftest_inputs() const;
  // Inputs of the parts in build/ that are for one kernel, and where their products are.
  Inputs driver_inputs(const Kernel& kernel) const;
  Inputs initramfs_inputs(const Kernel& kernel) const;
  Inputs tools_inputs(const Kernel& kernel) const;
  fs::path driver_file(const Kernel& kernel) const;
  fs::path control_module_file(const Kernel& kernel) const;
  fs::path initramfs_file(const Kernel& kernel) const;
  fs::path tools_file(const Kernel& kernel) const;

  // Products of meson, from its own description of the build: the file of a target, by the
  // target's name, and the programs that go to the guest.
  fs::path meson_folder() const { return places_.build / "meson"; }
  fs::path meson_product(const std::string& target) const;
  std::vector<fs::path> guest_programs() const;
  // These, the agent and the model: all that a guest needs of meson.
  std::vector<fs::path> guest_targets() const;
  // The same for the fuzzers; configures their folder when that is not done.
  fs::path fuzz_folder() const { return places_.build / "fuzz"; }
  fs::path fuzz_product(const std::string& target);
  void configure_fuzzers();
  fs::path agent() const { return meson_product("figment-agent"); }
  fs::path model() const { return meson_product("figment-model"); }

 private:
  Kernel kernel_from_tree(const fs::path& tree);
  Kernel built_kernel(const std::string& name);
  Inputs module_inputs(const Kernel& kernel) const;
  fs::path kernel_source(Task& task);
  // Unpacks files of the source into a folder; words for tar say which.
  void unpack_source(Task& task, const fs::path& into, const Argv& which);

  // kernel.id, and with another driver a word for that: names the folders of products.
  std::string product_id(const Kernel& kernel) const;

  Places places_;
  fs::path driver_source_;
  bool make_nothing_;
  Cache cache_;
};

// One part being made: says so on stderr, shows that it lives, keeps the log. On a terminal the
// state is one line that changes; else there is a line now and then.
class Task {
 public:
  Task(const Workshop& workshop, std::string_view part);
  Task(const Task&) = delete;
  // "done" unless an exception is on its way.
  ~Task();

  // Runs one step with its output in the log. Throws Failure when it does not end well.
  void run(const Argv& argv, ChildOptions options = {});
  // Says that the part waits for another run of this program.
  void waiting() const;
  const fs::path& log() const { return log_; }

 private:
  void tick();
  std::string elapsed() const;

  PartInfo info_;
  fs::path log_;
  Clock::time_point started_ = Clock::now();
  Clock::time_point told_ = started_;
  int exceptions_;
  bool terminal_;
};

// What make is told when it builds the driver, beside the kernel and the folders.
Argv driver_words(const Kernel& kernel);

// The inputs that a product in build/ was made of, if it is there.
std::optional<Inputs> made_of(const fs::path& product);
// A stamp of a product in build/: what it was made of, beside it. True when `inputs` are the same.
bool is_current(const fs::path& product, const Inputs& inputs);
void set_current(const fs::path& product, const Inputs& inputs);
// Of a small text file.
std::string first_line(const fs::path& path);
// Size and time of a file: enough to see that a build has made it anew.
std::string file_stamp(const fs::path& path);

// Names of modules to load in order, so that each finds what it needs: paths below the folder of
// `dependencies` (the text of modules.dep). Names that `builtin` (modules.builtin) lists need
// nothing. Throws Failure on a name that neither knows.
std::vector<std::string> load_order(std::string_view dependencies, std::string_view builtin,
                                    const std::vector<std::string>& names);

// Whether a kernel has what it takes to boot from memory images (nfit, nd_pmem).
bool can_be_deterministic(const Kernel& kernel);

// Copies a module as the kernel loads it fastest: not compressed.
void unpack_module(const fs::path& from, const fs::path& to);

// An initramfs: "newc" cpio archive of folders and files, by paths without a leading slash.
struct ArchiveFile {
  std::string path;
  std::string content;
  unsigned mode = 0644;
};
std::string cpio_archive(const std::vector<ArchiveFile>& files);

}  // namespace figment::host

#endif

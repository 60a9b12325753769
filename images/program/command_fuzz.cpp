// SPDX-License-Identifier: MIT
//
// fuzz: the fuzzer of the model for as long as one wants, from the seeds and from what it has found
// before (the corpus in the cache). A crash is made smaller, told, and printed with the command that
// plays it again. --coverage says which lines of the model the corpus reaches.
#include <unistd.h>

#include <algorithm>
#include <format>
#include <iostream>

#include "commands.h"

namespace figment::host {

namespace {

constexpr const char* kFuzzer = "figment-model-fuzz";

// Files of one fuzzer that outlive a run.
struct Folder {
  explicit Folder(const fs::path& cache)
      : corpus(cache / "fuzz" / "model" / "corpus"), crashes(cache / "fuzz" / "model" / "crashes") {
    fs::create_directories(corpus);
    fs::create_directories(crashes);
  }
  fs::path corpus;
  fs::path crashes;
};

int run_here(const Argv& argv, std::vector<std::string> environment = {}) {
  return *Child(argv, {.directory = {},
                       .environment = std::move(environment),
                       .input = -1,
                       .output = -1,
                       .error = -1,
                       .keep = {}})
              .wait();
}

fs::path built(Workshop& workshop, const std::string& program) {
  workshop.fuzzers({fs::path(workshop.fuzz_product(program)).lexically_relative(workshop.fuzz_folder())});
  return workshop.fuzz_product(program);
}

void write_seeds(const Workshop& workshop, const fs::path& program, const fs::path& into,
                 std::vector<std::string> environment = {}) {
  const fs::path texts = workshop.places().checkout / "qemu-device/model/fuzz/regressions";
  const Output seeds = capture({program, "--seeds", into, texts},
                               {.directory = {},
                                .environment = std::move(environment),
                                .input = -1,
                                .output = -1,
                                .error = -1,
                                .keep = {}},
                               true);
  if (seeds.status != 0) throw Failure("fuzz: no seeds:\n" + seeds.text);
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

// As small as it gets in a while; libFuzzer names the result.
fs::path smaller(const fs::path& program, const fs::path& crash) {
  const fs::path small = crash.string() + ".small";
  std::cerr << "figment: fuzz: makes the input smaller\n";
  const Output output = capture({program, "-minimize_crash=1", "-runs=20000", "-max_total_time=60",
                                 "-exact_artifact_path=" + small.string(), crash},
                                {}, true);
  (void)output;  // it always ends with the crash that it was given
  return fs::exists(small) ? small : crash;
}

int tell(const fs::path& program, const fs::path& input) {
  return run_here({program, "--tell", input});
}

int report_crash(const fs::path& program, const fs::path& crash) {
  const fs::path input = smaller(program, crash);
  std::cout << "\nWhat it does:\n" << std::flush;
  tell(program, input);
  std::cout << "\nAs text, for qemu-device/model/fuzz/regressions/NAME.hex:\n" << std::flush;
  run_here({program, "--hex", input});
  std::cout << std::format("\nagain: ./figment fuzz {}\n", quoted({input.string()})) << std::flush;
  return 1;
}

int coverage(Workshop& workshop, const Folder& folder) {
  const fs::path program = built(workshop, "figment-model-fuzz-coverage");
  const fs::path work = workshop.places().build / "fuzz-coverage";
  fs::remove_all(work);
  fs::create_directories(work);
  // Whatever this program does it counts; without a name the counts go where the user happens to be.
  write_seeds(workshop, program, work / "seeds", {"LLVM_PROFILE_FILE=" + (work / "seeds.raw").string()});
  const std::string raw = work / "raw", data = work / "data";
  const Output played = capture({program, "-runs=0", work / "seeds", folder.corpus},
                                {.directory = {},
                                 .environment = {"LLVM_PROFILE_FILE=" + raw},
                                 .input = -1,
                                 .output = -1,
                                 .error = -1,
                                 .keep = {}},
                                true);
  if (played.status != 0) throw Failure("fuzz: the corpus does not play:\n" + played.text);
  if (run_here({"llvm-profdata", "merge", "-o", data, raw}) != 0) return 1;
  const std::string sources = workshop.places().checkout / "qemu-device/model/src";
  const Argv what = {program, "-instr-profile=" + data, sources};
  Argv report = {"llvm-cov", "report", "-show-region-summary=false", "-show-branch-summary=false"};
  report.insert(report.end(), what.begin(), what.end());
  Argv show = {"llvm-cov", "show", "-format=html", "-output-dir=" + (work / "html").string()};
  show.insert(show.end(), what.begin(), what.end());
  const int status = run_here(report);
  if (capture(show, {}, true).status == 0) {
    std::cout << std::format("line by line: {}\n", (work / "html/index.html").string());
  }
  return status;
}

}  // namespace

int fuzz_command(const Options& options) {
  Workshop workshop(Places::from_environment());
  const Folder folder(workshop.places().cache);
  if (options.coverage) return coverage(workshop, folder);
  const fs::path program = built(workshop, kFuzzer);
  if (!options.arguments.empty()) {
    int worst = 0;
    for (const std::string& input : options.arguments) {
      worst = std::max(worst, tell(program, visible(fs::absolute(input))));
    }
    return worst == 0 ? 0 : 1;
  }
  write_seeds(workshop, program, folder.corpus);
  const std::vector<fs::path> before = files_of(folder.crashes);
  Argv argv = {program, std::format("-fork={}", sysconf(_SC_NPROCESSORS_ONLN)), "-max_len=2048",
               "-timeout=120", "-artifact_prefix=" + folder.crashes.string() + "/"};
  if (options.seconds) argv.push_back(std::format("-max_total_time={}", *options.seconds));
  argv.push_back(folder.corpus);
  const int status = run_here(argv);
  for (const fs::path& file : files_of(folder.crashes)) {
    if (std::ranges::find(before, file) == before.end()) return report_crash(program, file);
  }
  return status == 0 ? 0 : 1;
}

}  // namespace figment::host

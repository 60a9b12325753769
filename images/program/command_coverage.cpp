// SPDX-License-Identifier: MIT
//
// coverage: which lines of the driver the guest tests reach, by gcov of a kernel that was built for
// it (debug). The driver is built once more, with counters, and takes the place of the usual one in
// the guest; its counters come back through a share. That of the model is `fuzz --coverage`.
#include <algorithm>
#include <format>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "commands.h"

namespace figment::host {

namespace {

constexpr std::chrono::minutes kGuestLimit{40};

// Runs in the guest. $1: folder of the module, $2: where counters go. The rest: the tests' arguments.
constexpr const char* kScript = R"sh(
module=$1/figment.ko data=$2
shift 2
ls /sys/kernel/debug/gcov >/dev/null || { echo "this kernel has no gcov" >&2; exit 1; }
rmmod figment && insmod "$module" || exit 1
until ls /dev/dri/renderD* >/dev/null 2>&1; do sleep 0.1; done
export FIGMENT_MODULE="$module"
figment-guest-tests "$@"
status=$?
find /sys/kernel/debug/gcov -name 'figment_*.gcda' | while read -r file; do
	cat "$file" >"$data/$(basename "$file")"
done
exit $status
)sh";

// Line number to executions, of one file.
using Lines = std::map<unsigned, std::uint64_t>;

void add_counters(std::map<std::string, Lines>& files, const fs::path& objects,
                  const fs::path& counters) {
  const fs::path beside = objects / counters.filename();
  fs::copy_file(counters, beside, fs::copy_options::overwrite_existing);
  const Output json = capture({"gcov", "--json-format", "--stdout", beside},
                              {.directory = objects, .environment = {}, .input = -1, .output = -1,
                               .error = -1, .keep = {}});
  if (json.status != 0) throw Failure("coverage: gcov cannot read " + beside.string());
  const nlohmann::json report = nlohmann::json::parse(json.text);
  for (const auto& file : report.at("files")) {
    const std::string name = fs::path(file.at("file").get<std::string>()).filename();
    if (!name.starts_with("figment_")) continue;
    for (const auto& line : file.at("lines")) {
      files[name][line.at("line_number").get<unsigned>()] += line.at("count").get<std::uint64_t>();
    }
  }
}

// "12-15, 20": lines without an execution; those between two that are not code count in.
std::string missing(const Lines& lines) {
  std::string text;
  for (auto line = lines.begin(); line != lines.end();) {
    if (line->second != 0) {
      ++line;
      continue;
    }
    const unsigned first = line->first;
    unsigned last = first;
    for (; line != lines.end() && line->second == 0; ++line) last = line->first;
    text += (text.empty() ? "" : ", ") +
            (first == last ? std::to_string(first) : std::format("{}-{}", first, last));
  }
  return text;
}

void print(const std::map<std::string, Lines>& files) {
  std::size_t all = 0, reached = 0;
  for (const auto& [name, lines] : files) {
    const auto count = static_cast<std::size_t>(
        std::ranges::count_if(lines, [](const auto& line) { return line.second != 0; }));
    all += lines.size();
    reached += count;
    std::cout << std::format("{:<28} {:>5} of {:>5} lines, {:>5.1f} %  {}\n", name, count,
                             lines.size(), 100.0 * static_cast<double>(count) / static_cast<double>(lines.size()),
                             missing(lines));
  }
  if (all == 0) throw Failure("coverage: the guest has sent no counters");
  std::cout << std::format("{:<28} {:>5} of {:>5} lines, {:>5.1f} %\n", "driver", reached, all,
                           100.0 * static_cast<double>(reached) / static_cast<double>(all));
}

}  // namespace

int coverage_command(const Options& options) {
  Workshop workshop(Places::from_environment());
  const Places& places = workshop.places();
  VmOptions vm = options.vm;
  if (vm.kernel == "stock") vm.kernel = "debug";
  const fs::path folder = places.build / "coverage";
  const fs::path objects = folder / "driver", data = folder / "data";
  fs::remove_all(data);
  fs::create_directories(data);
  fs::create_directories(objects);

  workshop.programs({fs::path(workshop.meson_product("figment-guest-tests"))
                         .lexically_relative(workshop.meson_folder())});
  Argv command = {"sh", "-c", kScript, "sh", objects, data};
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  Prepared prepared = prepare(
      workshop, vm,
      {.command = command,
       .shares = {{.folder = data, .mount = data.string(), .writable = true}},
       .null_nvme = false,
       .directory = "/root"});
  const bool named = !vm.kernel.contains('/');
  const Kernel kernel =
      workshop.kernel(named ? vm.kernel : visible(fs::absolute(vm.kernel)).string());
  {
    Task task(workshop, "driver");
    task.run({"make", "-C", kernel.build, "M=" + (places.checkout / "kernel-driver").string(),
              "MO=" + objects.string(), "CONFIG_DRM_FIGMENT=m", "GCOV_PROFILE=y", "modules"});
  }
  prepared.session.folder = run_folder(places);
  prepared.session.timeout = kGuestLimit;
  const Verdict verdict = run_guest(prepared.guest, prepared.session, make_judge(places));
  std::cerr << verdict.explanation();

  std::map<std::string, Lines> files;
  for (const auto& entry : fs::directory_iterator(data)) add_counters(files, objects, entry.path());
  print(files);
  return verdict.exit_status();
}

}  // namespace figment::host

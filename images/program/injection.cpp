// SPDX-License-Identifier: MIT
#include "injection.h"

#include <algorithm>
#include <format>

#include "options.h"

namespace figment::host {

namespace {

using nlohmann::json;

json about(unsigned gpu) {
  return {{"path", "/machine/peripheral/" + gpu_id(gpu)}, {"property", "injection"}};
}

// What QEMU has against a command, in our words.
[[noreturn]] void refuse(const QmpError& error, unsigned gpu) {
  if (error.kind == "DeviceNotFound") {
    throw UsageError(std::format("inject: the guest has no GPU {}", gpu));
  }
  const std::string text = error.what();
  const std::size_t reason = text.find("injection");
  throw UsageError("inject: " + (reason == text.npos ? text : text.substr(reason)));
}

// A guest that was killed leaves its socket: whether somebody listens says more than its name.
std::optional<Fd> monitor_of(const fs::path& folder) {
  std::error_code none;
  if (!fs::is_socket(folder / "monitor", none)) return std::nullopt;
  return connect_to_monitor(folder);
}

}  // namespace

void arm(Qmp& qmp, unsigned gpu, const std::string& rule) {
  json arguments = about(gpu);
  arguments["value"] = rule;
  try {
    qmp.execute("qom-set", arguments);
  } catch (const QmpError& error) {
    refuse(error, gpu);
  }
}

std::string armed_rules(Qmp& qmp, unsigned gpu) {
  try {
    return qmp.execute("qom-get", about(gpu)).get<std::string>();
  } catch (const QmpError& error) {
    refuse(error, gpu);
  }
}

Qmp find_guest(const fs::path& runs, const fs::path& folder) {
  if (!folder.empty()) {
    auto monitor = monitor_of(folder);
    if (monitor) return Qmp(std::move(*monitor));
    throw Failure(
        std::format("inject: no guest with logs in {} runs, or it is one with a seed, whose "
                    "rules are armed from the start: run --seed N --inject RULE",
                    folder.string()));
  }
  std::vector<fs::path> folders;
  std::optional<Fd> found;
  std::error_code none;  // nothing has run yet
  for (const auto& entry : fs::directory_iterator(runs, none)) {
    auto monitor = monitor_of(entry.path());
    if (!monitor) continue;
    folders.push_back(entry.path());
    found = std::move(*monitor);
  }
  if (folders.size() == 1) return Qmp(std::move(*found));
  if (folders.empty()) {
    throw Failure(
        "inject: no guest of this checkout runs; ./figment shell starts one. One with a "
        "seed takes rules from the start only: run --seed N --inject RULE");
  }
  std::ranges::sort(folders, std::greater{});
  std::string text =
      std::format("inject: {} guests run; say which, the newest is the first:", folders.size());
  for (const fs::path& one : folders) text += "\n  --guest " + one.string();
  throw Failure(text);
}

}  // namespace figment::host

// SPDX-License-Identifier: MIT
//
// inject: tells the machine of a guest that runs how its GPU is to misbehave.
#include <iostream>

#include "commands.h"
#include "injection.h"

namespace figment::host {

int inject_command(const Options& options) {
  const Places places = Places::from_environment();
  const fs::path folder = options.guest.empty() ? fs::path() : visible(fs::absolute(options.guest));
  Qmp qmp = find_guest(places.build / "runs", folder);
  for (const std::string& word : options.arguments) {
    if (word == "show") {
      std::cout << armed_rules(qmp, options.number);
    } else {
      arm(qmp, options.number, word);
    }
  }
  return 0;
}

}  // namespace figment::host

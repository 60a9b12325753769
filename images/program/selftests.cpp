// SPDX-License-Identifier: MIT
//
// The kernel's own tests in user space (tools/testing/selftests): those of tests/selftests/list,
// from the same source as the kernels, made as that source makes them.
#include <algorithm>
#include <iostream>
#include <set>

#include "suite.h"
#include "workshop.h"

namespace figment::host {

namespace {

const fs::path kTests = "tools/testing/selftests";

// What the programs are compiled of, as tar finds it. Headers of the uAPI are those of the build
// root, which are of this kernel.
const Argv kSource = {"*/tools/testing/selftests/*.h",
                      "*/tools/testing/selftests/lib.mk",
                      "*/tools/testing/selftests/x86/*",
                      "*/tools/include/uapi",
                      "*/tools/arch/x86/include/uapi",
                      "*/mm/gup_test.h",
                      "*/lib/test_hmm_uapi.h"};

}  // namespace

Inputs Workshop::selftest_inputs() const {
  Inputs inputs = kernel_source_inputs();
  inputs.add("build root", places_.build_root_id);
  inputs.add_path("tests/selftests/list", places_.checkout / "tests/selftests/list");
  inputs.add("recipe", quoted(kSource) + "; make");
  return inputs;
}

fs::path Workshop::selftests() {
  return cache_.get(
      "selftests", selftest_inputs(),
      [&](const fs::path& into) {
        Task task(*this, "selftests");
        const auto tests = parse_suite_list(read_file(places_.checkout / "tests/selftests/list"));
        std::set<std::string> collections;
        for (const ListedTest& test : tests) {
          collections.insert(test.name.substr(0, test.name.find(':')));
        }
        const fs::path source = into / "source";
        fs::create_directories(source);
        Argv wanted = kSource;
        for (const std::string& each : collections)
          wanted.push_back("*/" + (kTests / each).string());
        unpack_source(task, source, wanted);
        for (const ListedTest& test : tests) {
          const auto colon = test.name.find(':');
          if (colon == test.name.npos) {
            throw Failure("tests/selftests/list: " + test.name + " is not COLLECTION:PROGRAM");
          }
          const fs::path folder = into / test.name.substr(0, colon);
          fs::create_directories(folder);
          task.run({"make", "-C", source / kTests / folder.filename(), "OUTPUT=" + folder.string(),
                    folder / test.name.substr(colon + 1)});
        }
        fs::remove_all(source);
      },
      [] { std::cerr << "figment: selftests: waiting for another run that makes them\n"; });
}

}  // namespace figment::host

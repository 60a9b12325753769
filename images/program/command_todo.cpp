#include "commands.h"
namespace figment::host {
int demo_command(const Options&) { throw Failure("demo: not there yet"); }
int test_command(const Options&) { throw Failure("test: not there yet"); }
int bench_command(const Options&) { throw Failure("bench: not there yet"); }
}

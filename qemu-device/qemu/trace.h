#include "trace/trace-hw_figment.h"

// SPDX-License-Identifier: MIT
// The C interface over the Model, and the border that no exception crosses.
//
// An exception can only be a bug of ours or a host without memory. A model that
// threw is in no state to go on: from then on it reads as all ones and does
// nothing, like a device that fell off its bus, until a PCI reset.
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>

#include "config.h"
#include "injection.h"
#include "model.h"
#include "trace_names.h"

struct figment_model {
  figment_model(const figment_model_config& its_config, const figment_model_host& its_host)
      : config(its_config),
        host(its_host),
        model(std::make_unique<figment::Model>(config, host)) {}

  const figment_model_config config;
  const figment_model_host host;
  std::unique_ptr<figment::Model> model;  // another one after load()
  bool broken = false;
};

namespace figment {

namespace {

constexpr uint64_t kBrokenValue = ~0ull;

// `work` on a model that works; `broken` when it does not, or no longer.
template <typename Value, typename Work>
Value guarded(figment_model* handle, Value broken, Work work) noexcept {
  if (handle->broken) return broken;
  try {
    return work(*handle->model);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "figment-model: internal error: %s\n", error.what());
  } catch (...) {
    std::fprintf(stderr, "figment-model: internal error\n");
  }
  handle->broken = true;
  return broken;
}

void say(char* to, size_t bytes, const char* text) {
  if (to && bytes != 0) std::snprintf(to, bytes, "%s", text);
}

figment_model* create(const figment_model_config* config, const figment_model_host* host,
                      char* error, size_t error_bytes) noexcept {
  try {
    if (const auto checked = check_config(*config); !checked) {
      say(error, error_bytes, checked.error().c_str());
      return nullptr;
    }
    return std::make_unique<figment_model>(*config, *host).release();
  } catch (const std::exception& trouble) {
    say(error, error_bytes, trouble.what());
  } catch (...) {
    say(error, error_bytes, "unknown trouble");
  }
  return nullptr;
}

uint64_t register_read(figment_model* handle, uint64_t offset, unsigned int bytes) noexcept {
  return guarded(handle, kBrokenValue,
                 [&](Model& model) { return model.register_read(offset, bytes); });
}

void register_write(figment_model* handle, uint64_t offset, uint64_t value,
                    unsigned int bytes) noexcept {
  guarded(handle, 0, [&](Model& model) { return model.register_write(offset, value, bytes), 0; });
}

uint64_t doorbell_read(figment_model* handle, uint64_t offset, unsigned int bytes) noexcept {
  return guarded(handle, kBrokenValue,
                 [&](Model& model) { return model.doorbell_read(offset, bytes); });
}

void doorbell_write(figment_model* handle, uint64_t offset, uint64_t value,
                    unsigned int bytes) noexcept {
  guarded(handle, 0, [&](Model& model) { return model.doorbell_write(offset, value, bytes), 0; });
}

figment_model_progress run(figment_model* handle, uint64_t steps) noexcept {
  const figment_model_progress nothing{.steps = 0, .next_ns = kNever};
  return guarded(handle, nothing, [&](Model& model) { return model.run(steps); });
}

void reset(figment_model* handle) noexcept {
  handle->broken = false;
  guarded(handle, 0, [](Model& model) { return model.reset(), 0; });
}

size_t save(figment_model* handle, void* to, size_t bytes) noexcept {
  return guarded(handle, size_t{0}, [&](Model& model) {
    const std::vector<std::byte> stream = model.save();
    if (to && bytes >= stream.size()) std::memcpy(to, stream.data(), stream.size());
    return stream.size();
  });
}

bool load(figment_model* handle, const void* from, size_t bytes, char* error,
          size_t error_bytes) noexcept {
  try {
    // Whole or not at all: what is refused half way is thrown away.
    auto loaded = std::make_unique<Model>(handle->config, handle->host);
    loaded->load({static_cast<const std::byte*>(from), bytes});
    handle->model = std::move(loaded);
    handle->broken = false;
    return true;
  } catch (const std::exception& trouble) {
    say(error, error_bytes, trouble.what());
  } catch (...) {
    say(error, error_bytes, "unknown trouble");
  }
  reset(handle);
  return false;
}

bool inject_parse(const char* text, figment_injection* rule, char* error,
                  size_t error_bytes) noexcept {
  try {
    const auto parsed = parse_injection(text);
    if (parsed) {
      *rule = *parsed;
      return true;
    }
    say(error, error_bytes, parsed.error().c_str());
  } catch (const std::exception& trouble) {
    say(error, error_bytes, trouble.what());
  } catch (...) {
    say(error, error_bytes, "unknown trouble");
  }
  return false;
}

int inject(figment_model* handle, const figment_injection* rule, char* error,
           size_t error_bytes) noexcept {
  say(error, error_bytes, "the model has failed");
  return guarded(handle, -1, [&](Model& model) {
    const auto armed = model.inject(*rule);
    say(error, error_bytes, armed ? "" : armed.error().c_str());
    return armed ? static_cast<int>(*armed) : -1;
  });
}

void inject_clear(figment_model* handle) noexcept {
  guarded(handle, 0, [](Model& model) { return model.clear_injection(), 0; });
}

uint64_t inject_count(figment_model* handle, unsigned int rule) noexcept {
  return guarded(handle, uint64_t{0}, [&](Model& model) { return model.injector().strikes(rule); });
}

size_t inject_report(figment_model* handle, char* to, size_t bytes) noexcept {
  say(to, bytes, "");
  return guarded(handle, size_t{0}, [&](Model& model) {
    const std::string report = model.injector().report();
    say(to, bytes, report.c_str());
    return report.size();
  });
}

bool removed(figment_model* handle) noexcept {
  return guarded(handle, false, [](Model& model) { return model.injector().removed(); });
}

constexpr struct figment_model_api kApi = {
    .abi = FIGMENT_MODEL_ABI,
    .defaults = [](figment_model_config* config) noexcept { *config = default_config(); },
    .create = create,
    .destroy = [](figment_model* handle) noexcept { delete handle; },
    .register_read = register_read,
    .register_write = register_write,
    .doorbell_read = doorbell_read,
    .doorbell_write = doorbell_write,
    .run = run,
    .reset = reset,
    .save = save,
    .load = load,
    .inject_parse = inject_parse,
    .inject = inject,
    .inject_clear = inject_clear,
    .inject_count = inject_count,
    .inject_report = inject_report,
    .removed = removed,
    .trace_name = trace_name,
    .trace_format = trace_format,
};

}  // namespace

}  // namespace figment

extern "C" __attribute__((visibility("default"))) const struct figment_model_api* figment_model_api(
    uint32_t abi) {
  return abi == FIGMENT_MODEL_ABI ? &figment::kApi : nullptr;
}

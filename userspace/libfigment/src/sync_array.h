// SPDX-License-Identifier: MIT
//
// Arrays as the uAPI takes them. For the sources of libfigment only.
#pragma once

#include <vector>

#include "figment/sync.h"
#include "figment_drm.h"

namespace figment {

template <typename T>
drm_figment_array array_of(const std::vector<T>& elements) {
  return {sizeof(T), static_cast<std::uint32_t>(elements.size()),
          reinterpret_cast<std::uint64_t>(elements.data())};
}

inline std::vector<drm_figment_sync> sync_array(const std::vector<SyncPoint>& wait,
                                                const std::vector<SyncPoint>& signal) {
  std::vector<drm_figment_sync> syncs;
  syncs.reserve(wait.size() + signal.size());
  const auto add = [&](const SyncPoint& point, std::uint32_t flags) {
    if (point.value) flags |= DRM_FIGMENT_SYNC_TIMELINE;
    syncs.push_back({flags, point.handle, point.value.value_or(0)});
  };
  for (const auto& point : wait) add(point, 0);
  for (const auto& point : signal) add(point, DRM_FIGMENT_SYNC_SIGNAL);
  return syncs;
}

}  // namespace figment

// SPDX-License-Identifier: MIT
//
// Merging of equal pages by the kernel (KSM), at a moment that the caller chooses.
#pragma once

#include <cstddef>
#include <span>

namespace figment::stress {

/// Has the kernel merge pages of this range that are equal. Lacks: this kernel does not.
void merge_same_pages(std::span<std::byte> memory);

}  // namespace figment::stress

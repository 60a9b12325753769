// SPDX-License-Identifier: MIT
#include "memory.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace figment {

namespace {

// How much goes through a buffer at a time when one side is not RAM.
constexpr size_t kBounceBytes = 4096;

// Up to here an access uses a kept page; what is longer is data that moves once.
constexpr size_t kSmallBytes = 256;

bool aligned(const std::byte* pointer, size_t bytes) {
  return is_multiple(reinterpret_cast<uintptr_t>(pointer), bytes);
}

template <typename T>
uint64_t modify_as(std::byte* at, Modification kind, uint64_t operand, uint64_t compare) {
  std::atomic_ref<T> value(*reinterpret_cast<T*>(at));
  const T with = static_cast<T>(operand);
  switch (kind) {
    case Modification::add:
      return value.fetch_add(with);
    case Modification::exchange:
      return value.exchange(with);
    case Modification::compare_exchange: {
      T expected = static_cast<T>(compare);
      value.compare_exchange_strong(expected, with);
      return expected;
    }
  }
  FIGMENT_ASSERT(!"modification");
}

uint64_t modified(uint64_t old, Modification kind, uint64_t operand, uint64_t compare) {
  switch (kind) {
    case Modification::add:
      return old + operand;
    case Modification::exchange:
      return operand;
    case Modification::compare_exchange:
      return old == compare ? operand : old;
  }
  FIGMENT_ASSERT(!"modification");
}

// `to` need not be aligned in the host; the stores become plain vector code.
template <typename T>
void count_up(std::byte* to, uint64_t bytes, uint64_t first) {
  T value = static_cast<T>(first);
  for (uint64_t at = 0; at < bytes; at += sizeof(T), ++value) {
    std::memcpy(to + at, &value, sizeof(T));
  }
}

void repeat(std::byte* to, uint64_t bytes, uint64_t value, unsigned element_bytes) {
  for (unsigned bits = element_bytes * 8; bits < 64; bits *= 2) {
    value = value << bits | (value & ((1ull << bits) - 1));
  }
  uint64_t at = 0;
  for (; bytes - at >= sizeof(value); at += sizeof(value)) {
    std::memcpy(to + at, &value, sizeof(value));
  }
  std::memcpy(to + at, &value, bytes - at);
}

void fill_bytes(std::byte* to, uint64_t bytes, const Pattern& pattern) {
  if (!pattern.increment) return repeat(to, bytes, pattern.value, pattern.element_bytes);
  switch (pattern.element_bytes) {
    case 1:
      return count_up<uint8_t>(to, bytes, pattern.value);
    case 2:
      return count_up<uint16_t>(to, bytes, pattern.value);
    case 4:
      return count_up<uint32_t>(to, bytes, pattern.value);
    case 8:
      return count_up<uint64_t>(to, bytes, pattern.value);
  }
  FIGMENT_ASSERT(!"element");
}

// memcpy() past the caches: what is overwritten is not read first, and stays out of them. The C
// library does so for one large copy, but here a large copy comes in steps. Ordered before later
// stores, as all others are.
void stream(std::byte* to, const std::byte* from, size_t bytes) {
#ifdef __SSE2__
  constexpr size_t kLine = 64;
  constexpr size_t kAhead = 8 * kLine;  // further than that is the processor's business
  const size_t head = std::min(bytes, -reinterpret_cast<uintptr_t>(to) % kLine);
  std::memcpy(to, from, head);
  size_t at = head;
  for (; bytes - at >= kLine; at += kLine) {
    const auto* source = reinterpret_cast<const __m128i*>(from + at);
    auto* target = reinterpret_cast<__m128i*>(to + at);
    _mm_prefetch(reinterpret_cast<const char*>(from + at + kAhead), _MM_HINT_NTA);
    const __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1),
                  c = _mm_loadu_si128(source + 2), d = _mm_loadu_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
  _mm_sfence();
  std::memcpy(to + at, from + at, bytes - at);
#else
  std::memcpy(to, from, bytes);
#endif
}

bool overlap(const std::byte* a, const std::byte* b, size_t bytes) {
  const auto from = reinterpret_cast<uintptr_t>(a), to = reinterpret_cast<uintptr_t>(b);
  return (from < to ? to - from : from - to) < bytes;
}

}  // namespace

Memory::View::~View() {
  if (slot_) --slot_->users;
  if (mapped_) host_->unmap(data_, bytes_, for_write_, touched_);
}

void Memory::View::touch(size_t bytes) {
  if (slot_) {
    const size_t end = static_cast<size_t>(data_ - slot_->pointer) + bytes;
    slot_->touched = std::max(slot_->touched, end);
  } else if (mapped_) {
    touched_ = std::max(touched_, bytes);
  } else {
    host_->vram_touched(vram_offset_, bytes);
  }
}

Memory::View Memory::view(Location at, uint64_t bytes, bool for_write) {
  if (at.in_vram()) {
    const uint64_t offset = at.vram().value;
    if (offset >= host_.vram_bytes()) return View(0);
    return View(host_, offset, std::min(bytes, host_.vram_bytes() - offset));
  }
  const uint64_t in_page = at.bus().value % kPageBytes;
  const uint64_t page_rest = kPageBytes - in_page;
  if (bytes <= kSmallBytes && bytes <= page_rest) {
    if (Slot* slot = slot_for(at.bus().value - in_page, for_write)) {
      return View(*slot, in_page, bytes);
    }
  } else {
    size_t covered = bytes;
    if (std::byte* data = host_.map(at.bus(), &covered, for_write)) {
      return View(host_, data, std::min<size_t>(covered, bytes), for_write);
    }
  }
  return View(std::min({bytes, page_rest, uint64_t{kBounceBytes}}));
}

// A kept mapping of the whole page, or null: then it is not plain RAM all over.
Memory::Slot* Memory::slot_for(uint64_t page, bool for_write) {
  const auto holds = [&](const Slot& slot) {
    return slot.pointer && slot.page == page && (slot.for_write || !for_write);
  };
  if (holds(slots_[recent_])) return &slots_[recent_];
  for (unsigned i = 0; i < slots_used_; ++i) {
    if (holds(slots_[i])) return &slots_[recent_ = i];
  }
  Slot* free = nullptr;
  if (slots_used_ < slots_.size()) {
    free = &slots_[slots_used_];
  } else {
    // At most two views live at a time, so this ends.
    do {
      free = &slots_[victim_++ % slots_.size()];
    } while (free->users != 0);
    free_slot(*free);
  }
  size_t covered = kPageBytes;
  std::byte* pointer = host_.map(BusAddr{page}, &covered, for_write);
  if (!pointer) return nullptr;
  if (covered < kPageBytes) {
    host_.unmap(pointer, covered, for_write, 0);
    return nullptr;
  }
  *free = {.pointer = pointer, .page = page, .for_write = for_write};
  if (slots_used_ < slots_.size()) ++slots_used_;
  return free;
}

void Memory::free_slot(Slot& slot) {
  if (!slot.pointer) return;
  host_.unmap(slot.pointer, kPageBytes, slot.for_write, slot.touched);
  slot = {};
}

void Memory::release_maps() {
  for (unsigned i = 0; i < slots_used_; ++i) free_slot(slots_[i]);
  slots_used_ = 0;
}

bool Memory::move_in(Location from, std::span<std::byte> to) {
  while (!to.empty()) {
    const View part = view(from, to.size(), false);
    if (part.bytes() == 0) return false;
    if (part.data()) {
      std::memcpy(to.data(), part.data(), part.bytes());
    } else if (!host_.read(from.bus(), to.data(), part.bytes())) {
      return false;
    }
    from = from + part.bytes();
    to = to.subspan(part.bytes());
  }
  return true;
}

bool Memory::move_out(Location to, std::span<const std::byte> from) {
  while (!from.empty()) {
    View part = view(to, from.size(), true);
    if (part.bytes() == 0) return false;
    if (part.data()) {
      std::memcpy(part.data(), from.data(), part.bytes());
      part.touch(part.bytes());
    } else if (!host_.write(to.bus(), from.data(), part.bytes())) {
      return false;
    }
    to = to + part.bytes();
    from = from.subspan(part.bytes());
  }
  return true;
}

std::optional<uint64_t> Memory::load(Location from, unsigned bytes) {
  if (injector_.fails(from, bytes, true)) return std::nullopt;
  return load_now(from, bytes);
}

bool Memory::store(Location to, uint64_t value, unsigned bytes) {
  return !injector_.fails(to, bytes, false) && store_now(to, value, bytes);
}

std::optional<uint64_t> Memory::load_now(Location from, unsigned bytes) {
  {
    const View part = view(from, bytes, false);
    std::byte* at = part.data();
    if (at && part.bytes() == bytes && aligned(at, bytes)) {
      if (bytes == 8) {
        return std::atomic_ref(*reinterpret_cast<uint64_t*>(at)).load(std::memory_order_acquire);
      }
      return std::atomic_ref(*reinterpret_cast<uint32_t*>(at)).load(std::memory_order_acquire);
    }
  }
  uint64_t value = 0;
  if (!move_in(from, std::as_writable_bytes(std::span(&value, 1)).first(bytes))) {
    return std::nullopt;
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  return value;
}

bool Memory::store_now(Location to, uint64_t value, unsigned bytes) {
  {
    View part = view(to, bytes, true);
    std::byte* at = part.data();
    if (at && part.bytes() == bytes && aligned(at, bytes)) {
      if (bytes == 8) {
        std::atomic_ref(*reinterpret_cast<uint64_t*>(at)).store(value, std::memory_order_release);
      } else {
        std::atomic_ref(*reinterpret_cast<uint32_t*>(at))
            .store(static_cast<uint32_t>(value), std::memory_order_release);
      }
      part.touch(bytes);
      return true;
    }
  }
  std::atomic_thread_fence(std::memory_order_release);
  return move_out(to, std::as_bytes(std::span(&value, 1)).first(bytes));
}

std::optional<uint64_t> Memory::modify(Location at, unsigned bytes, Modification kind,
                                       uint64_t operand, uint64_t compare) {
  if (injector_.fails(at, bytes, true)) return std::nullopt;
  {
    View part = view(at, bytes, true);
    if (part.data() && part.bytes() == bytes && aligned(part.data(), bytes)) {
      const uint64_t old = bytes == 8 ? modify_as<uint64_t>(part.data(), kind, operand, compare)
                                      : modify_as<uint32_t>(part.data(), kind, operand, compare);
      part.touch(bytes);
      return old;
    }
  }
  const std::optional<uint64_t> old = load_now(at, bytes);
  if (!old) return std::nullopt;
  const uint64_t mask = bytes == 8 ? ~0ull : 0xffffffffull;
  if (!store_now(at, modified(*old, kind, operand, compare & mask), bytes)) return std::nullopt;
  return old;
}

Memory::Copied Memory::copy(Location to, Location from, uint64_t bytes, bool backward,
                            bool streaming) {
  if (injector_.fails(from, bytes, true)) return Copied::source_failed;
  if (injector_.fails(to, bytes, false)) return Copied::target_failed;
  while (bytes != 0) {
    {
      const View source = view(from, bytes, false);
      View target = view(to, bytes, true);
      const uint64_t count = std::min(source.bytes(), target.bytes());
      // A view covers the start of its range: enough for all of it, or when the start goes first.
      if (source.data() && target.data() && (count == bytes || !backward)) {
        if (streaming && !overlap(target.data(), source.data(), count)) {
          stream(target.data(), source.data(), count);
        } else {
          std::memmove(target.data(), source.data(), count);
        }
        target.touch(count);
        to = to + count;
        from = from + count;
        bytes -= count;
        continue;
      }
    }
    std::byte bounce[kBounceBytes];
    const std::span piece(bounce, std::min<uint64_t>(bytes, kBounceBytes));
    const uint64_t skip = backward ? bytes - piece.size() : 0;
    if (!move_in(from + skip, piece)) return Copied::source_failed;
    if (!move_out(to + skip, piece)) return Copied::target_failed;
    bytes -= piece.size();
    if (!backward) {
      to = to + piece.size();
      from = from + piece.size();
    }
  }
  return Copied::all;
}

bool Memory::fill(Location to, uint64_t bytes, const Pattern& pattern) {
  if (injector_.fails(to, bytes, false)) return false;
  Pattern rest = pattern;
  while (bytes != 0) {
    uint64_t count = 0;
    {
      View part = view(to, bytes, true);
      // RAM may end inside an element; then the buffer below takes it.
      count = part.bytes() - part.bytes() % pattern.element_bytes;
      if (part.data() && count != 0) {
        fill_bytes(part.data(), count, rest);
        part.touch(count);
      } else {
        count = 0;
      }
    }
    if (count == 0) {
      std::byte bounce[kBounceBytes];
      count = std::min<uint64_t>(bytes, kBounceBytes);
      fill_bytes(bounce, count, rest);
      if (!move_out(to, std::span(bounce, count))) return false;
    }
    if (rest.increment) rest.value += count / rest.element_bytes;
    to = to + count;
    bytes -= count;
  }
  return true;
}

}  // namespace figment

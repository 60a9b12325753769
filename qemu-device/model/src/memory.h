// SPDX-License-Identifier: MIT
// Memory as the device reaches it: guest RAM through mapped pointers, anything
// else on the bus through reads and writes, VRAM through its one pointer.
//
// Two kinds of mapping, for two kinds of work. Small accesses (the ring, a
// descriptor, a page table, a fence value) come back to the same few pages, so
// pages stay mapped in a small table until release_maps(), which the model
// calls before it returns to the host. Bulk data is mapped for exactly the run
// of bytes that moves, so that the host marks no more than that as written.
//
// Guest CPUs run at the same time. load() and store() of naturally aligned
// values in RAM are one host access with acquire or release order, and modify()
// is a host atomic; there is no such promise for what is not RAM.
//
// Each call is one opportunity for injected errors on each of its sides. One
// that is struck has moved nothing.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "injector.h"

namespace figment {

// What FILL writes: `element_bytes` low bytes of `value`, plus n in element n.
struct Pattern {
  uint64_t value = 0;
  unsigned element_bytes = 1;
  bool increment = false;
};

enum class Modification : uint8_t { add, compare_exchange, exchange };

class Memory {
 public:
  Memory(const Host& host, Injector& injector) : host_(host), injector_(injector) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { release_maps(); }

  // All of these are false or empty when a byte does not answer.
  bool read(Location from, std::span<std::byte> to) {
    return !injector_.fails(from, to.size(), true) && move_in(from, to);
  }
  bool write(Location to, std::span<const std::byte> from) {
    return !injector_.fails(to, from.size(), false) && move_out(to, from);
  }

  // One value of 4 or 8 bytes, naturally aligned by address.
  std::optional<uint64_t> load(Location from, unsigned bytes);
  bool store(Location to, uint64_t value, unsigned bytes);
  // The old value. `operand` replaces it, is added to it, or replaces it if it was `compare`.
  std::optional<uint64_t> modify(Location at, unsigned bytes, Modification kind, uint64_t operand,
                                 uint64_t compare);

  enum class Copied : uint8_t { all, source_failed, target_failed };
  // As memmove() of the range; `backward` says which end goes first when it takes pieces.
  // `streaming`: part of a transfer that is larger than caches.
  Copied copy(Location to, Location from, uint64_t bytes, bool backward, bool streaming);
  bool fill(Location to, uint64_t bytes, const Pattern& pattern);

  // Give every kept mapping back to the host.
  void release_maps();

 private:
  // A page that stays mapped until release_maps().
  struct Slot {
    std::byte* pointer = nullptr;  // null: free
    uint64_t page = 0;
    size_t touched = 0;
    bool for_write = false;
    uint8_t users = 0;
  };

  // Bytes at a location that can be used in one go. Gives itself back.
  class View {
   public:
    // Not backed by RAM: `bytes` is how much read and write may take at a time; 0: nothing there.
    explicit View(size_t bytes) : bytes_(bytes) {}
    // VRAM.
    View(const Host& host, uint64_t offset, size_t bytes)
        : host_(&host), data_(host.vram() + offset), bytes_(bytes), vram_offset_(offset) {}
    // Part of a kept page.
    View(Slot& slot, size_t offset, size_t bytes)
        : slot_(&slot), data_(slot.pointer + offset), bytes_(bytes) {
      ++slot.users;
    }
    // A mapping of its own.
    View(const Host& host, std::byte* data, size_t bytes, bool for_write)
        : host_(&host), data_(data), bytes_(bytes), mapped_(true), for_write_(for_write) {}
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    ~View();

    std::byte* data() const { return data_; }
    size_t bytes() const { return bytes_; }
    // The first `bytes` were written.
    void touch(size_t bytes);

   private:
    const Host* host_ = nullptr;
    Slot* slot_ = nullptr;
    std::byte* data_ = nullptr;
    size_t bytes_ = 0;
    uint64_t vram_offset_ = 0;
    size_t touched_ = 0;
    bool mapped_ = false;
    bool for_write_ = false;
  };

  // What the public ones do when no error is injected.
  bool move_in(Location from, std::span<std::byte> to);
  bool move_out(Location to, std::span<const std::byte> from);
  std::optional<uint64_t> load_now(Location from, unsigned bytes);
  bool store_now(Location to, uint64_t value, unsigned bytes);

  View view(Location at, uint64_t bytes, bool for_write);
  Slot* slot_for(uint64_t page, bool for_write);
  void free_slot(Slot& slot);

  const Host& host_;
  Injector& injector_;
  std::array<Slot, 16> slots_{};
  unsigned slots_used_ = 0;
  unsigned recent_ = 0;
  unsigned victim_ = 0;
};

}  // namespace figment

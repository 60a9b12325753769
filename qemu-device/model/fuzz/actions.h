// SPDX-License-Identifier: MIT
// What a hostile guest does, as the first byte of each action (modulo kActions).
// The operands follow; world.cpp reads them, seeds.cpp writes them, in the order
// of the comments. "value" and "operand" are those of World.
#pragma once

#include <cstdint>

namespace figment::fuzz {

enum Action : uint8_t {
  kStore,                          // word u16, value: to guest memory
  kPacket,                         // word u16, packet: to guest memory
  kSubmit,                         // queue u8, packet: to its ring, and the doorbell
  kDoorbell,                       // queue u8, value
  kStart,                          // queue u8, shape u8: a descriptor, and START
  kCommand,                        // queue u8, command u8
  kRun,                            // steps u8
  kAdvance,                        // time u16, shift u8
  kInvalidate,                     // flags u8, [value, value]
  kMeanwhile,                      // calls from now u8, word u16, value: a store in the middle
  kReadEvents,                     // most u8
  kReadRegister,                   // register
  kTableEntry,                     // page u8, index u16, entry
  kSaveAndLoad,                    // changes u8, so many times (place u16, byte u8), [length u16]
  kGuestActions,                   // the rest is for kernels only
  kWriteRegister = kGuestActions,  // register, width u8, value
  kRoot,                           // asid u8, entry
  kReset,                          // -
  kPciReset,                       // -
  kBringUp,                        // -
  kActions
};

// Kinds of "value": first byte modulo kValueKinds.
enum ValueKind : uint8_t {
  kSmall,     // u8
  kEights,    // u8 times 8
  kWorkVa,    // page u8, u8 times 8
  kWorkBus,   // page u8
  kOneBit,    // u8
  kAllBelow,  // u8: a power of two, minus 8
  kNegative,  // u8
  kRaw,       // u64
  kValueKinds
};

}  // namespace figment::fuzz

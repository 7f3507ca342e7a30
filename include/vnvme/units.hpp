// Sizes with their unit in the type.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "vnvme/result.hpp"

namespace vnvme {

struct Bytes {
  std::uint64_t value = 0;
  friend auto operator<=>(Bytes, Bytes) = default;
  friend Bytes operator+(Bytes a, Bytes b) { return {a.value + b.value}; }
  // Never below zero: sizes that disagree must not wrap to 16 EiB.
  friend Bytes operator-(Bytes a, Bytes b) { return {a.value > b.value ? a.value - b.value : 0}; }
};

constexpr Bytes KiB(std::uint64_t n) {
  return {n << 10};
}
constexpr Bytes MiB(std::uint64_t n) {
  return {n << 20};
}
constexpr Bytes GiB(std::uint64_t n) {
  return {n << 30};
}

// The largest size that XAPI can carry (int64).
constexpr Bytes kMaxBytes{static_cast<std::uint64_t>(INT64_MAX)};

// Rounds up to a multiple of unit (unit > 0); saturates at kMaxBytes rounded down to the unit.
Bytes round_up(Bytes size, Bytes unit);
// "20.0 GiB", "512 B": for people.
std::string human(Bytes size);
// "20GiB", "512MiB", "1048576": from people. Powers of two for K/M/G/T with or without "iB".
Result<Bytes> parse_bytes(std::string_view text);

}  // namespace vnvme

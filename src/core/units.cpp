#include "vnvme/units.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace vnvme {

Bytes round_up(Bytes size, Bytes unit) {
  if (unit.value == 0) return size;
  const std::uint64_t most = kMaxBytes.value / unit.value * unit.value;
  if (size.value >= most) return {most};
  return {(size.value + unit.value - 1) / unit.value * unit.value};
}

std::string human(Bytes size) {
  static constexpr std::array<const char*, 6> names{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t step = 0;
  double value = static_cast<double>(size.value);
  while (value >= 1024.0 && step + 1 < names.size()) {
    value /= 1024.0;
    ++step;
  }
  char text[48];
  std::snprintf(text, sizeof text, step == 0 ? "%.0f %s" : "%.1f %s", value, names[step]);
  return text;
}

Result<Bytes> parse_bytes(std::string_view text) {
  auto bad = [&] {
    return fail(
        Errc::invalid_argument,
        "'" + std::string(text) + "' is not a size; write bytes, or a number with KiB, MiB, GiB or TiB");
  };
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end == text.data()) return bad();
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  unsigned shift = 0;
  if (!unit.empty() && unit != "B") {
    constexpr std::string_view letters = "KMGT";
    auto letter = letters.find(unit.front() >= 'a' ? static_cast<char>(unit.front() - 32) : unit.front());
    unit.remove_prefix(1);
    if (letter == std::string_view::npos || !(unit.empty() || unit == "iB" || unit == "ib")) return bad();
    shift = 10 * (static_cast<unsigned>(letter) + 1);
  }
  if (number > (kMaxBytes.value >> shift)) return bad();
  return Bytes{number << shift};
}

}  // namespace vnvme

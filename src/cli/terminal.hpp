// What the screen can do, and text made to fit it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace vnvme::cli {

enum class Style { plain, dim, bold, good, warning, bad };

struct Terminal {
  std::size_t width = 0;  // columns; 0: not a terminal, lines may be as long as they are
  bool colour = false;
  bool utf8 = true;  // else plain ASCII instead of lines and dots
};

enum class When { automatic, always, never };
// Of standard output: its width (or $COLUMNS), colours on a terminal unless NO_COLOR is set or TERM is
// "dumb", UTF-8 as LC_ALL, LC_CTYPE or LANG say.
Terminal look_at_stdout(When colour);

std::string paint(const Terminal&, Style, std::string_view text);
// At most `columns` wide; what is cut ends in an ellipsis. Text from outside is made printable by the caller.
std::string fit(const Terminal&, std::string_view text, std::size_t columns);
std::string pad(std::string_view text, std::size_t columns, bool right);
// A part of a whole as a bar of that many columns.
std::string bar(const Terminal&, double part, std::size_t columns);

// "3 d 4 h", "12 min 5 s", "8 s"
std::string duration(std::uint64_t seconds);
// "2026-11-22 12:30:11" in the local time zone
std::string clock_time(std::int64_t wall_ms);
std::string plural(std::uint64_t count, std::string_view one, std::string_view many);

}  // namespace vnvme::cli

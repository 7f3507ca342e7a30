#include "text.hpp"

namespace vnvme::plugin {
namespace {

// Length of the well-formed UTF-8 sequence at the beginning of s, 0 for none.
std::size_t sequence(std::string_view s) {
  auto byte = [s](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  unsigned char first = byte(0);
  if (first < 0x80) return 1;
  std::size_t length = first >= 0xC2 && first < 0xE0   ? 2
                       : first >= 0xE0 && first < 0xF0 ? 3
                       : first >= 0xF0 && first < 0xF5 ? 4
                                                       : 0;
  if (length == 0 || s.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  // overlong forms, surrogates, beyond U+10FFFF
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
      (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F))
    return 0;
  return length;
}

}  // namespace

Text& Text::add_number(std::uint64_t n) {
  char digits[20];
  std::size_t at = sizeof digits;
  do digits[--at] = static_cast<char>('0' + n % 10), n /= 10;
  while (n != 0);
  return add({digits + at, sizeof digits - at});
}

Text& Text::add_escaped(std::string_view s) {
  constexpr char hex[] = "0123456789abcdef";
  while (!s.empty()) {
    auto c = static_cast<unsigned char>(s[0]);
    auto length = sequence(s);
    if (length == 0) {
      add("\xEF\xBF\xBD");
      length = 1;
    } else if (c == '"' || c == '\\') {
      char escaped[] = {'\\', static_cast<char>(c)};
      add({escaped, 2});
    } else if (c < 0x20) {
      char escaped[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
      add({escaped, 6});
    } else {
      add({s.data(), length});
    }
    s.remove_prefix(length);
  }
  return *this;
}

}  // namespace vnvme::plugin

// Small text tools that everybody needs once.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace vnvme {

// Is it well-formed UTF-8 (no overlong forms, no surrogates)?
bool is_utf8(std::string_view text);
// The longest prefix of at most `bytes` bytes that does not cut a character in two.
std::string utf8_prefix(std::string_view text, std::size_t bytes);
// For one line of a terminal or log: control characters and invalid bytes as \xNN, \n, \t; cut at `bytes`
// with "...".
std::string printable(std::string_view text, std::size_t bytes);
std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
// Columns that a terminal uses for it: one per code point, none for combining marks, two for wide ones.
std::size_t display_width(std::string_view utf8);

}  // namespace vnvme

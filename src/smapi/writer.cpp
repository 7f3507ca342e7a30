#include "smapi/writer.hpp"

#include "core/text.hpp"

namespace vnvme::smapi {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

bool is_plain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
}

void escape(std::string& out, char c) {
  constexpr char digits[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\r':
      out += "\\r";
      return;
    default:
      out += "\\u00";
      out += digits[static_cast<unsigned char>(c) >> 4];
      out += digits[static_cast<unsigned char>(c) & 15];
  }
}

void append_escaped(std::string& out, std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    auto run = i;
    while (run < text.size() && is_plain(text[run])) ++run;
    out.append(text, i, run - i);
    if (run < text.size()) escape(out, text[run++]);
    i = run;
  }
}

}  // namespace

void JsonWriter::separate() {
  if (comma_) out_ += ',';
  comma_ = true;
}

void JsonWriter::open(char c) {
  separate();
  out_ += c;
  comma_ = false;
}

void JsonWriter::close(char c) {
  out_ += c;
  comma_ = true;
}

void JsonWriter::raw(std::string_view text) {
  separate();
  out_ += text;
}

void JsonWriter::quoted(std::string_view text) {
  out_ += '"';
  // Names come from people and from devices; one bad byte must not make the whole answer unreadable.
  while (!is_utf8(text)) {
    auto good = utf8_prefix(text, text.size());
    append_escaped(out_, good);
    out_ += kReplacement;
    text.remove_prefix(good.size() + 1);
  }
  append_escaped(out_, text);
  out_ += '"';
}

void JsonWriter::key(std::string_view name) {
  separate();
  quoted(name);
  out_ += ':';
  comma_ = false;
}

void JsonWriter::value(std::string_view text) {
  separate();
  quoted(text);
}

void JsonWriter::value(Bytes size) {
  value(static_cast<std::int64_t>(size > kMaxBytes ? kMaxBytes.value : size.value));
}

void JsonWriter::value(const Strings& map) {
  begin_object();
  for (const auto& [name, text] : map) member(name, text);
  end_object();
}

}  // namespace vnvme::smapi

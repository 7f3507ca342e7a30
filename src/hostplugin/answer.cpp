#include "hostplugin/answer.hpp"

#include "core/text.hpp"

namespace vnvme::hostplugin {
namespace {

std::string escaped(const std::string& text) {
  const std::string plain = is_utf8(text) ? text : printable(text, text.size() * 4);
  std::string out;
  out.reserve(plain.size() + plain.size() / 8);
  for (char c : plain) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n')
      out += '?';
    else
      out += c;
  }
  return out;
}

std::string member(const char* name, const std::string& value) {
  return std::string("<member><name>") + name + "</name>" + value + "</member>";
}

std::string text_value(const std::string& text) {
  return "<value>" + escaped(text) + "</value>";
}

}  // namespace

Answer success(std::string value) {
  return {true, std::move(value), {}};
}

Answer failure(std::vector<std::string> words) {
  return {false, {}, std::move(words)};
}

std::string response(const Answer& answer) {
  std::string members;
  if (answer.good) {
    members = member("Status", text_value("Success")) + member("Value", text_value(answer.value));
  } else {
    std::string words;
    for (const auto& word : answer.failed) words += text_value(word);
    members = member("Status", text_value("Failure")) +
              member("ErrorDescription", "<value><array><data>" + words + "</data></array></value>");
  }
  return "<?xml version=\"1.0\"?><methodResponse><params><param><value><struct>" + members +
         "</struct></value></param></params></methodResponse>";
}

}  // namespace vnvme::hostplugin

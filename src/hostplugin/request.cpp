#include "hostplugin/request.hpp"

#include <expat.h>

#include <memory>
#include <vector>

namespace vnvme::hostplugin {
namespace {

// Expat calls back; the first thing that is wrong stops it.
class Reader {
 public:
  explicit Reader(XML_Parser parser) : parser_(parser) {
    XML_SetUserData(parser_, this);
    XML_SetElementHandler(parser_, &on_start, &on_end);
    XML_SetCharacterDataHandler(parser_, &on_text);
    XML_SetStartDoctypeDeclHandler(parser_, &on_doctype);
  }

  Result<Call> read(std::string_view xml) {
    auto parsed = XML_Parse(parser_, xml.data(), static_cast<int>(xml.size()), XML_TRUE);
    if (failed_) return fail(std::move(error_));
    if (parsed != XML_STATUS_OK)
      return fail(Errc::invalid_argument,
                  std::string("no XML: ") + XML_ErrorString(XML_GetErrorCode(parser_)));
    if (call_.function.empty()) return fail(Errc::invalid_argument, "the call names no function");
    if (params_ != 2) return fail(Errc::invalid_argument, "a session and a map of arguments are expected");
    return std::move(call_);
  }

 private:
  static Reader& self(void* data) { return *static_cast<Reader*>(data); }
  static void on_start(void* data, const XML_Char* name, const XML_Char** attributes) {
    self(data).start(name, attributes[0] != nullptr);
  }
  static void on_end(void* data, const XML_Char*) { self(data).end(); }
  static void on_text(void* data, const XML_Char* text, int length) {
    self(data).text(std::string_view(text, static_cast<std::size_t>(length)));
  }
  static void on_doctype(void* data, const XML_Char*, const XML_Char*, const XML_Char*, int) {
    self(data).stop(Errc::protocol, "a document type is not read");
  }

  void stop(Errc code, std::string why) {
    if (failed_) return;
    failed_ = true;
    error_ = Error{.code = code, .text = std::move(why)};
    XML_StopParser(parser_, XML_FALSE);
  }

  void start(const std::string& name, bool attributes) {
    if (failed_) return;
    if (path_.size() >= kMostDepth) return stop(Errc::protocol, "it is nested too deeply");
    if (attributes) return stop(Errc::invalid_argument, "attributes are not expected");
    path_.push_back(name);
    const std::string here = path();
    if (!known(here)) return stop(Errc::invalid_argument, "an element that is not expected");
    if (here == "methodCall/params/param") ++params_;
    if (here == kMember) member_.clear(), value_.clear();
    if (name == "value") typed_ = false;
    text_.clear();
  }

  void text(std::string_view more) {
    if (failed_) return;
    if (text_.size() + more.size() > kMostText) return stop(Errc::protocol, "a value is too long");
    text_ += more;
  }

  void end() {
    if (failed_) return;
    const std::string here = path();
    // <value>text</value> or <value><string>text</string></value>, as XML-RPC has it; white space around
    // the latter is nothing.
    const bool string = here.ends_with("/value/string");
    const std::string of = string ? here.substr(0, here.size() - 7) : here;
    const bool counts = string || !typed_;
    if (string) typed_ = true;
    if (here == "methodCall/methodName") call_.function = text_;
    if (of == "methodCall/params/param/value" && params_ == 1 && counts) call_.session = text_;
    if (here == kMember + "/name") member_ = text_;
    if (of == kMember + "/value" && counts) value_ = text_;
    if (here == kMember) {
      if (call_.arguments.size() >= kMostArguments) return stop(Errc::protocol, "too many arguments");
      if (member_.empty()) return stop(Errc::invalid_argument, "an argument without a name");
      if (!call_.arguments.emplace(member_, value_).second)
        return stop(Errc::invalid_argument, "an argument stands there twice");
    }
    text_.clear();
    path_.pop_back();
  }

  [[nodiscard]] std::string path() const {
    std::string out;
    for (const auto& name : path_) out += (out.empty() ? "" : "/") + name;
    return out;
  }

  [[nodiscard]] bool known(const std::string& here) const {
    for (const char* one : {"methodCall", "methodCall/methodName", "methodCall/params",
                            "methodCall/params/param", "methodCall/params/param/value"})
      if (here == one) return params_ <= 2;
    if (params_ == 1) return here == "methodCall/params/param/value/string";
    return params_ == 2 &&
           (here == "methodCall/params/param/value/struct" || here == kMember || here == kMember + "/name" ||
            here == kMember + "/value" || here == kMember + "/value/string");
  }

  inline static const std::string kMember = "methodCall/params/param/value/struct/member";
  XML_Parser parser_;
  std::vector<std::string> path_;
  std::string text_, member_, value_;
  bool typed_ = false;  // the value that is open had a <string>
  unsigned params_ = 0;
  Call call_;
  bool failed_ = false;
  Error error_;
};

struct Free {
  void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};

}  // namespace

Result<Call> parse_call(std::string_view xml) {
  if (xml.size() > kMostBytes) return fail(Errc::protocol, "the call is too long");
  std::unique_ptr<std::remove_pointer_t<XML_Parser>, Free> parser(XML_ParserCreate("UTF-8"));
  if (!parser) return fail(Errc::internal, "no memory for a parser");
  return Reader(parser.get()).read(xml);
}

}  // namespace vnvme::hostplugin

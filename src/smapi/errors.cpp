// Errc                         SR.*             Volume.*, Datapath.*      SM's name
// invalid_argument             1                1 (resize: 79)            InvalidArg, VDISize
// a request we cannot read     143              143                       BadRequest
// not_found                    SR_does_not_exist / Volume_does_not_exist, as the IDL has it; SR.probe,
// create: 19 already_exists               42               43                        SRExists, VDIExists busy
// 47               46                        SRUnavailable, VDIUnavailable in_use                       16
// (destroy 39)  24                        SRInUse, SRNotEmpty, VDIInUse no_space, too_many_volumes   44 44
// SRNoSpace not_permitted, timeout       47               46                        SRUnavailable,
// VDIUnavailable unreachable, rebuilding      47               47                        SRUnavailable
// not_supported                SR_OPERATION_NOT_SUPPORTED, so that XAPI falls back where it can
// corrupt                      181              181                       MetadataError
// io                           200              200                       EIO
// cancelled                    201              201                       EGAIN (try again)
// conflict, protocol, internal 202              202                       SMGeneral
#include "smapi/errors.hpp"

#include "core/text.hpp"
#include "smapi/writer.hpp"

namespace vnvme::smapi {
namespace {

constexpr std::size_t kTextLimit = 4096;

std::string encode(std::string_view code, const std::vector<std::string>& params, std::string_view trace) {
  JsonWriter w;
  w.begin_object();
  w.member("code", code);
  w.key("params");
  w.begin_array();
  for (const auto& p : params) w.value(utf8_prefix(p, kTextLimit));
  w.end_array();
  w.key("backtrace");
  w.begin_object();
  // There is no backtrace of a program without exceptions; these members must exist and must not lie.
  w.member("error", utf8_prefix(trace, kTextLimit));
  w.key("files");
  w.begin_array();
  w.end_array();
  w.key("lines");
  w.begin_array();
  w.end_array();
  w.end_object();
  w.end_object();
  return w.take();
}

int sr_number(Errc code, const std::string& method) {
  switch (code) {
    case Errc::invalid_argument:
      return 1;
    case Errc::not_found:
      return 19;
    case Errc::already_exists:
      return 42;
    case Errc::in_use:
      return method == "SR.destroy" ? 39 : 16;
    case Errc::no_space:
    case Errc::too_many_volumes:
      return 44;
    case Errc::busy:
    case Errc::not_permitted:
    case Errc::timeout:
    case Errc::unreachable:
    case Errc::rebuilding:
      return 47;
    case Errc::corrupt:
      return 181;
    case Errc::io:
      return 200;
    case Errc::cancelled:
      return 201;
    case Errc::not_supported:
    case Errc::conflict:
    case Errc::protocol:
    case Errc::internal:
      return 202;
  }
  return 202;
}

int volume_number(Errc code, const std::string& method) {
  switch (code) {
    case Errc::invalid_argument:
      return method == "Volume.resize" ? 79 : 1;
    case Errc::already_exists:
      return 43;
    case Errc::in_use:
      return 24;
    case Errc::busy:
    case Errc::not_permitted:
    case Errc::timeout:
      return 46;
    default:
      return sr_number(code, method);
  }
}

bool about_an_sr(const std::string& method) {
  return method.starts_with("SR.");
}

// Which object is missing, in the IDL's words. Nothing when the request names none that could be.
std::vector<std::string> missing_object(const ErrorSubject& s) {
  if (s.method == "SR.probe" || s.method == "SR.create") return {};
  if (!s.volume.empty()) return {"Volume_does_not_exist", s.volume};
  if (!s.sr.empty()) return {"SR_does_not_exist", s.sr};
  return {};
}

}  // namespace

std::string encode_error(const Error& error, const ErrorSubject& subject) {
  if (error.code == Errc::not_supported)
    return encode("SR_OPERATION_NOT_SUPPORTED", {subject.sr, error.text}, error.describe());
  if (error.code == Errc::not_found) {
    auto params = missing_object(subject);
    if (!params.empty()) return encode("SR_BACKEND_FAILURE", params, error.describe());
  }
  int number = error.step == "decode"        ? 143
               : about_an_sr(subject.method) ? sr_number(error.code, subject.method)
                                             : volume_number(error.code, subject.method);
  return encode("SR_BACKEND_FAILURE_" + std::to_string(number), {"", error.text, ""}, error.describe());
}

std::string encode_unimplemented(std::string_view method) {
  auto name = printable(method, 128);
  return encode("SR_BACKEND_FAILURE", {"Unimplemented", name}, "Unimplemented: " + name);
}

}  // namespace vnvme::smapi

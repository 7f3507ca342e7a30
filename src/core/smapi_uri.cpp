#include "vnvme/smapi.hpp"

namespace vnvme::smapi {
namespace {
constexpr std::string_view kScheme = "vnvme:///";
}

std::string make_uri(const SrId& sr, const VolumeId& volume) {
  return std::string(kScheme) + sr.value + "/" + volume.value;
}

Result<Target> parse_uri(const std::string& uri) {
  std::string_view rest = uri;
  auto bad = [&] {
    return fail(Errc::invalid_argument,
                "'" + uri.substr(0, 120) + "' is no volume of vnvme; want vnvme:///<SR uuid>/<VDI uuid>");
  };
  if (rest.substr(0, kScheme.size()) != kScheme) return bad();
  rest.remove_prefix(kScheme.size());
  auto slash = rest.find('/');
  if (slash == std::string_view::npos) return bad();
  auto sr = parse_uuid(rest.substr(0, slash));
  auto volume = parse_uuid(rest.substr(slash + 1));
  if (!sr || !volume) return bad();
  return Target{SrId(*sr), VolumeId(*volume)};
}

}  // namespace vnvme::smapi

#include "dpu/registry.hpp"

#include <array>

#include "dpu/kalray/kalray_dpu.hpp"
#include "dpu/spdk/spdk_dpu.hpp"

namespace vnvme::dpu {
namespace {

using Make = Result<std::unique_ptr<Dpu>> (*)(boost::asio::io_context&, const Options&);

struct Scheme {
  std::string_view prefix;
  Make make;
};

constexpr std::array kSchemes{
    Scheme{"unix:", &spdk::make_spdk_dpu},
    Scheme{"tcp:", &spdk::make_spdk_dpu},
    Scheme{"kalray:", &kalray::make_kalray_dpu},
};

}  // namespace

Result<std::unique_ptr<Dpu>> make_dpu(boost::asio::io_context& io, const Options& options) {
  for (const auto& scheme : kSchemes)
    if (options.uri.starts_with(scheme.prefix)) return scheme.make(io, options);
  return fail(
      Errc::invalid_argument,
      "a DPU's address is unix:/path, tcp:ADDRESS:PORT or kalray:ADDRESS:PORT, not \"" + options.uri + "\"");
}

}  // namespace vnvme::dpu

// What a DPU may send: a stream of answers, in any pieces, and in each answer any listing.
#include <vector>

#include "dpu/snap/snap.hpp"
#include "dpu/spdk/bdev.hpp"
#include "dpu/spdk/errors.hpp"
#include "dpu/spdk/lvol.hpp"
#include "dpu/spdk/nvmf.hpp"
#include "dpu/spdk/raid.hpp"
#include "fuzz/fuzz.hpp"
#include "rpc/codec.hpp"

using vnvme::fuzz::require;
namespace rpc = vnvme::rpc;
namespace spdk = vnvme::dpu::spdk;
namespace snap = vnvme::dpu::snap;

namespace {

// So small that the limits are met too.
constexpr rpc::ScanLimits kLimits{.frame_bytes = 64u << 10, .string_bytes = 4096, .depth = 16};

struct Cut {
  std::vector<std::string> frames;
  bool broken = false;
};

Cut cut_stream(std::string_view stream, std::size_t piece) {
  Cut out;
  rpc::FrameScanner scanner(kLimits);
  for (std::size_t at = 0; at < stream.size() && !out.broken; at += piece) {
    scanner.feed(stream.substr(at, piece));
    for (;;) {
      auto frame = scanner.next();
      if (!frame) out.broken = true;
      if (!frame || !*frame) break;
      out.frames.push_back(std::move(**frame));
    }
  }
  return out;
}

void decode_everything(std::string_view result) {
  (void)spdk::decode_bdevs(result, [](const spdk::Bdev& bdev) -> vnvme::Result<void> {
    require(!bdev.name.empty(), "a bdev has a name");
    (void)spdk::volume_of(bdev, vnvme::dpu::Pool{});
    return {};
  });
  (void)spdk::decode_lvstores(result);
  (void)spdk::decode_lvols(result);
  (void)spdk::decode_raids(result);
  if (auto state = spdk::decode_subsystems(result)) (void)spdk::exposures_of(*state);
  snap::SnapState state;
  if (auto functions = snap::decode_functions(result)) state.functions = std::move(*functions);
  if (auto subsystems = snap::decode_snap_subsystems(result)) state.subsystems = std::move(*subsystems);
  (void)snap::functions_of(state);
  (void)snap::snap_exposures_of(state);
  std::string nqn;
  (void)snap::plan_snap_open(state, "vnvme-dom0", true);
  for (const auto& function : state.functions) {
    (void)snap::plan_snap_close(state, vnvme::FunctionId(function.vuid), nqn);
    (void)snap::plan_snap_unexpose(state, vnvme::FunctionId(function.vuid), 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto stream = vnvme::fuzz::text(data, size);
  const auto whole = cut_stream(stream, size + 1);
  for (std::size_t piece : {std::size_t{1}, std::size_t{7}}) {
    const auto pieces = cut_stream(stream, piece);
    require(pieces.frames == whole.frames, "frames do not depend on how the bytes arrive");
    require(pieces.broken == whole.broken, "nor does the end of the stream");
  }
  for (const auto& frame : whole.frames) {
    auto decoded = rpc::decode_answer(frame);
    if (!decoded || !decoded->payload) continue;
    if (decoded->payload->error())
      require(spdk::classify("bdev_lvol_create", *decoded->payload->error()).code != vnvme::Errc::cancelled,
              "a peer cannot say that we gave up");
    else
      decode_everything(decoded->payload->result());
  }
  decode_everything(stream);
  return 0;
}

// Grey levels to the network's input on a CPU: normalise, pad and lay out in one pass.
//
// There are 256 grey levels and three channels, so every value is looked up.

using Index = long long;

extern "C" void frame_prep(const unsigned char* frames, Index frame, Index part, Index row,
                           Index pixel, int count, int height, int width, const float* table,
                           float* out, Index out_frame, Index out_part, Index out_row,
                           Index out_pixel, int padded_height, int padded_width, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int job = 0; job < count * padded_height; ++job) {
    const int n = job / padded_height, y = job % padded_height;
    for (int k = 0; k < 3; ++k) {
      const unsigned char* from = frames + n * frame + k * part + y * row;
      float* to = out + n * out_frame + k * out_part + y * out_row;
      const int seen = y < height ? width : 0;
      for (int x = 0; x < seen; ++x) to[x * out_pixel] = table[k * 256 + from[x * pixel]];
      for (int x = seen; x < padded_width; ++x) to[x * out_pixel] = 0;
    }
  }
}

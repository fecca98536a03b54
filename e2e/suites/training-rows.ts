/**
 * The kernels of training that work on rows, in every shape that is chosen for any adapter, against their float64 twins
 * (tests/gradient-reference-rows.ts). What a row alone decides is within 1e-5 (1 + |x|): some tens of roundings of 2^-24 = 6e-8, and
 * those of exp. A sum over T rows has T of them with random signs: sqrt(T) 2e-5.
 */
import './training-rows/activate.ts';
import './training-rows/dropout.ts';
import './training-rows/norm.ts';
import './training-rows/pool.ts';
import './training-rows/query-key.ts';
import './training-rows/rows.ts';
